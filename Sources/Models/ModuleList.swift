// The modules that modules.json names, as routes: each a first module, which reads texts, and the modules after it.
//
// Most models are one route. A Router, first or further down, has the modules of several: what stands before and after it
// belongs to all of them.
//
// Reference: sentence_transformers/base/model.py (_load_config_modules), base/modules/router.py.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// One way through the modules of a model.
package struct RouteModules: Sendable {
    /// The Router's name of it; empty without a Router.
    package let name: String
    /// The place of its first module among the model's.
    package let input: Int
    /// The modules after the first.
    package let modules: [PlacedModule]
    /// For each of its modules, the first included, where the reference's list of parameters has it, such as "0." or
    /// "0.sub_modules.query.1.".
    package let places: [String]

    /// False when pooling leaves out the tokens of the prompt.
    var includesPrompt: Bool {
        !modules.contains { placed in
            if case .pooling(_, _, let includePrompt) = placed.module { return !includePrompt }
            return false
        }
    }
}

/// The modules of a model folder.
struct ModuleList: Sendable {
    /// A first module with its folder.
    struct Input: Sendable, Equatable {
        let kind: InputModule
        let folder: String
        /// What stands before its parameters' names: nothing outside of a Router.
        let scope: String
    }

    /// One entry of modules.json: its class and its folder.
    struct Entry: Sendable {
        let className: String
        let folder: String
    }

    /// The entries of modules.json.
    private(set) var entries: [Entry] = []
    /// The first modules of all routes, each once.
    private(set) var inputs: [Input] = []
    /// The routes.
    private(set) var routes: [RouteModules] = []
    /// The Router's file with its folder, if there is a Router.
    private(set) var router: (file: RouterFile, folder: String)?

    /// A module, read.
    private enum Step {
        case input(Input)
        case head(PlacedModule)
    }

    /// The modules of a plain encoder: mean pooling, or another mode, on top.
    init(pooling mode: PoolingMode) {
        self.init(
            input: Input(kind: .transformer, folder: "", scope: ""),
            modules: [PlacedModule(folder: "1_Pooling", module: .pooling(modes: [mode]))])
    }

    /// One route: `input`, and these modules after it.
    init(input: Input, modules: [PlacedModule]) {
        inputs = [input]
        routes = [RouteModules(name: "", input: 0, modules: modules, places: (0...modules.count).map { "\($0)." })]
        entries =
            [Entry(className: input.kind.rawValue, folder: input.folder)]
            + modules.map { Entry(className: $0.module.className, folder: $0.folder) }
    }

    /// Reads modules.json of the model folder `root`; nil where there is none.
    ///
    /// Throws: `.data` naming entry and problem; `.missingFile` for a module's configuration.
    init?(_ root: String) throws(TuttiError) {
        let file = root + "/modules.json"
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        guard let list = try JSONValue.parse(file: file).array else {
            throw TuttiError(.data, "read model", file, "is not a list of modules")
        }
        var reader = ModuleReader(root: root)
        var before: [(step: Step, place: String)] = []
        var middle: [(name: String, steps: [(step: Step, place: String)])] = []
        var after: [(step: Step, place: String)] = []
        for (index, value) in list.enumerated() {
            let place = "\(file): [\(index)]"
            guard let type = value["type"]?.string, let text = value["path"]?.string else {
                throw TuttiError(.data, "read model", place, "needs the strings 'type' and 'path'")
            }
            let folder = try reader.folder(text, isFirst: index == 0, place: place, name: "module \(index)")
            let className = ModuleList.className(type)
            entries.append(Entry(className: className == "Asym" ? "Router" : className, folder: folder))
            if ["Router", "Asym"].contains(className) {
                guard router == nil else {
                    throw TuttiError(.data, "read model", place, "there is a second Router, where only one can be read")
                }
                let read = try RouterFile(folder: folder.isEmpty ? root : root + "/" + folder)
                router = (read, folder)
                middle = try ModuleList.routes(of: read, in: folder, isFirst: index == 0, at: index, &reader)
                continue
            }
            let step = try ModuleList.step(
                className, folder: folder, isFirst: index == 0, scope: "", root: root, place: place)
            if router == nil { before.append((step, "\(index).")) } else { after.append((step, "\(index).")) }
        }
        guard !list.isEmpty else { throw TuttiError(.data, "read model", file, "the list of modules is empty") }
        if middle.isEmpty { middle = [("", [])] }
        for route in middle { try add(route.name, before + route.steps + after, file: file) }
    }

    /// Adds the route of these modules.
    private mutating func add(
        _ name: String, _ steps: [(step: Step, place: String)], file: String
    ) throws(TuttiError) {
        let file = name.isEmpty ? file : "\(router?.file.path ?? file): structure.\(name)"
        guard case .input(let first)? = steps.first?.step else {
            throw TuttiError(.data, "read model", file, "the first module does not read texts")
        }
        var modules: [PlacedModule] = []
        for (step, _) in steps.dropFirst() {
            guard case .head(let placed) = step else {
                throw TuttiError(
                    .data, "read model", file, "there is a second module that reads texts, where only one can be read")
            }
            modules.append(placed)
        }
        try ModuleOrder.check(first.kind, modules.map(\.module), place: file)
        if !inputs.contains(first) { inputs.append(first) }
        routes.append(
            RouteModules(
                name: name, input: inputs.firstIndex(of: first) ?? 0, modules: modules, places: steps.map(\.place)))
    }

    /// The modules of each route of a Router, each read once.
    private static func routes(
        of router: RouterFile, in folder: String, isFirst: Bool, at index: Int, _ reader: inout ModuleReader
    ) throws(TuttiError) -> [(name: String, steps: [(step: Step, place: String)])] {
        var steps: [String: Step] = [:]
        for (id, type) in router.types {
            let place = "\(router.path): types.\(id)"
            let own = try reader.folder(
                folder.isEmpty ? id : "\(folder)/\(id)", isFirst: false, place: place, name: "'\(id)'")
            let className = className(type)
            guard !["Router", "Asym"].contains(className) else {
                throw TuttiError(.data, "read model", place, "is a Router inside a Router, which cannot be read")
            }
            let reads = isFirst && router.structure.contains { $0.ids.first == id }
            steps[id] = try step(
                className, folder: own, isFirst: reads, scope: own, root: reader.root, place: place)
        }
        return router.structure.map { route, ids in
            let own = ids.enumerated().compactMap { number, id in
                steps[id].map { (step: $0, place: "\(index).sub_modules.\(route).\(number).") }
            }
            return (route, own)
        }
    }

    private static func step(
        _ className: String, folder: String, isFirst: Bool, scope: String, root: String, place: String
    ) throws(TuttiError) -> Step {
        if isFirst {
            return .input(
                Input(kind: try InputModule(className: className, place: place), folder: folder, scope: scope))
        }
        guard InputModule(rawValue: className) == nil else {
            throw TuttiError(
                .data, "read model", place, "there is a second \(className), where only one can be read")
        }
        let module = try HeadConfiguration.read(className: className, folder: folder, root: root, place: place)
        return .head(PlacedModule(folder: folder, module: module))
    }

    /// The last component of a class path.
    private static func className(_ type: String) -> String {
        type.split(separator: ".").last.map(String.init) ?? type
    }
}

/// Checks that every module has a folder of its own inside the model's.
private struct ModuleReader {
    let root: String
    private var owners: [String: String] = [:]

    init(root: String) { self.root = root }

    /// The folder that `text` of the entry at `place` means; `name` is what messages call the module.
    ///
    /// Throws: `.data` that says what is wrong with it.
    mutating func folder(
        _ text: String, isFirst: Bool, place: String, name: String
    ) throws(TuttiError) -> String {
        let path = try ModulePath(text, isFirst: isFirst, root: root, place: place)
        if let other = owners.updateValue(name, forKey: path.identity(in: root)) {
            throw TuttiError(
                .data, "read model", place, "the path '\(text)' is also that of \(other)",
                hint: "Each module needs a folder of its own.")
        }
        return path.folder
    }
}
