// router_config.json of a Router, or config.json of an older Asym: the modules of each route and how a route is chosen.
//
//   {"types": {id: class}, "structure": {route: [id, ...]},
//    "parameters": {"default_route": route, "allow_empty_key": true, "route_mappings": {"('query', 'text')": route}}}
//
// A module has the folder <id> inside the Router's; one id in several routes is one module. With allow_empty_key the
// first route is the default where none is named.
//
// Reference: Router.load and .save in sentence_transformers/base/modules/router.py.

import TuttiFormats
import TuttiGround

/// What a Router's file says.
struct RouterFile: Sendable {
    /// The file, for messages.
    let path: String
    /// The class path of each module by its id, in file order.
    let types: [(id: String, type: String)]
    /// The ids of the modules of each route, in file order.
    let structure: [(route: String, ids: [String])]
    /// How a route is chosen.
    let routing: Routing
    /// The file's `parameters`, as they are written back.
    let parameters: JSONObject

    /// The most routes and modules that are read.
    private static let limit = 256

    /// Reads the file in the Router's folder.
    ///
    /// Throws: `.missingFile`; `.data` naming file and key.
    init(folder: String) throws(TuttiError) {
        let file: ConfigurationFile
        if let router = try ConfigurationFile.ifPresent("router_config.json", in: folder) {
            file = router
        } else if let asym = try ConfigurationFile.ifPresent("config.json", in: folder) {
            file = asym
        } else {
            file = try ConfigurationFile(path: folder + "/router_config.json")
        }
        path = file.path
        types = try RouterFile.types(file)
        structure = try RouterFile.structure(file, ids: types.map(\.id))
        parameters = try file.value("parameters") ?? JSONObject()
        routing = try RouterFile.routing(file, parameters, names: structure.map(\.route))
    }

    private static func types(_ file: ConfigurationFile) throws(TuttiError) -> [(id: String, type: String)] {
        let object = try file.required("types", as: JSONObject.self)
        guard object.count <= limit else {
            throw file.error("types", "names \(object.count) modules; at most \(limit) are read")
        }
        var types: [(id: String, type: String)] = []
        for (id, value) in object {
            guard let type = value.string else {
                throw file.error(.expected("the name of a class", found: value, at: "types.\(id)"))
            }
            types.append((id, type))
        }
        return types
    }

    private static func structure(
        _ file: ConfigurationFile, ids: [String]
    ) throws(TuttiError) -> [(route: String, ids: [String])] {
        let object = try file.required("structure", as: JSONObject.self)
        guard !object.isEmpty else { throw file.error("structure", "names no route") }
        guard object.count <= limit else {
            throw file.error("structure", "names \(object.count) routes; at most \(limit) are read")
        }
        var structure: [(route: String, ids: [String])] = []
        for (route, value) in object {
            let key = "structure.\(route)"
            guard let list = value.array, !list.isEmpty, list.count <= limit else {
                throw file.error(.expected("a list of 1 to \(limit) modules", found: value, at: key))
            }
            var own: [String] = []
            for item in list {
                guard let id = item.string else { throw file.error(.expected("a module", found: item, at: key)) }
                guard ids.contains(id) else {
                    throw file.error(
                        key, "names the module '\(id)', which 'types' does not have",
                        hint: TuttiError.hint(unknown: id, known: ids))
                }
                own.append(id)
            }
            structure.append((route, own))
        }
        return structure
    }

    private static func routing(
        _ file: ConfigurationFile, _ parameters: JSONObject, names: [String]
    ) throws(TuttiError) -> Routing {
        func place(_ route: String, _ key: String) throws(TuttiError) -> Int {
            if let place = names.firstIndex(of: route) { return place }
            throw file.error(
                "parameters.\(key)", "there is no route '\(route)'", hint: TuttiError.hint(unknown: route, known: names)
            )
        }
        let own = ConfigurationFile(path: file.path + ": parameters", object: parameters)
        var defaultRoute = try own.value("allow_empty_key") ?? true ? 0 : nil
        if let named: String = try own.value("default_route") { defaultRoute = try place(named, "default_route") }
        var mappings: [Routing.Key: Int] = [:]
        for (spelled, value) in try own.value("route_mappings", as: JSONObject.self) ?? JSONObject() {
            let key = "route_mappings.\(spelled)"
            guard let route = value.string else {
                throw file.error(.expected("a route", found: value, at: "parameters.\(key)"))
            }
            let target = try place(route, key)
            switch RouterFile.pair(spelled) {
            case .key(let read)?: mappings[read] = target
            case .otherModality?: continue  // of images and the like, never a text's
            case nil:
                throw file.error(
                    "parameters.\(key)", "is not a pair of a task and a modality",
                    hint: "Such as \"('query', 'text')\" or \"(None, 'text')\".")
            }
        }
        return Routing(names: names, defaultRoute: defaultRoute, mappings: mappings)
    }

    private enum Pair {
        case key(Routing.Key)
        case otherModality
    }

    /// Reads Python's spelling of a tuple of two strings or None; a tuple of modalities is never a text's.
    private static func pair(_ text: String) -> Pair? {
        guard text.hasPrefix("("), text.hasSuffix(")") else { return nil }
        let inner = text.dropFirst().dropLast()
        guard let comma = inner.firstIndex(of: ",") else { return nil }
        func item(_ part: Substring) -> String?? {
            let word = part.drop { $0 == " " }
            if word == "None" { return .some(nil) }
            guard let quote = word.first, quote == "'" || quote == "\"", word.count >= 2, word.last == quote else {
                return nil
            }
            let name = word.dropFirst().dropLast()
            return name.contains(quote) || name.contains("\\") ? nil : .some(String(name))
        }
        guard let task = item(inner[..<comma]) else { return nil }
        let rest = inner[inner.index(after: comma)...].drop { $0 == " " }
        if rest.hasPrefix("("), rest.hasSuffix(")") { return .otherModality }
        guard let modality = item(rest) else { return nil }
        return .key(Routing.Key(task: task, modality: modality))
    }

    /// The text of router_config.json, with classes as sentence-transformers 5 and 6 know them.
    var text: String {
        var (types, structure) = (JSONObject(), JSONObject())
        for (id, type) in self.types {
            types.set(id, .string("sentence_transformers.models.\(type.split(separator: ".").last ?? "")"))
        }
        for (route, ids) in self.structure { structure.set(route, .array(ids.map { .string($0) })) }
        return JSONValue.object([
            "types": .object(types), "structure": .object(structure), "parameters": .object(parameters),
        ])
        .serialized(indent: 4)
    }
}
