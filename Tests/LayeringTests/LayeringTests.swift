// The layers of the package: what each module may import, compared with every import below Sources/.
//
// SwiftPM checks declared dependencies only between modules that build apart; this test also holds the table that the
// architecture draws (L0 at the bottom, L6 the executables), the length of files, and the ban on calls that end the
// process instead of telling an error.

import Foundation
import Testing

/// What the modules of a folder below Sources/ may import, beyond themselves and Ground, which every Swift module may.
let layers: [String: Set<String>] = [
    // L0: C modules and system libraries import no Swift module.
    "CTuttiKernels": [], "CTuttiMPI": [], "CTuttiDigest": [], "CTuttiLaunch": [], "CTuttiSignals": [],
    "CAllocationCounter": [], "CCompression": [], "CTuttiHTTP": [],
    "COpenBLAS": [], "COpenMPI": [],
    "Ground": ["CTuttiDigest"],
    // L1
    "Formats": ["CCompression"],
    "Kernels": ["COpenBLAS", "CTuttiKernels"],
    "Ensemble": [],
    "Net": ["CTuttiHTTP"],
    "Launch": ["TuttiNet", "CTuttiLaunch"],
    // L2
    "Text": ["TuttiFormats"],
    "Corpus": ["TuttiFormats"],
    "Encoders": ["TuttiKernels"],
    "Objectives": ["TuttiKernels", "TuttiEnsemble"],
    "EnsembleMPI": ["TuttiEnsemble", "CTuttiMPI"],
    "Hub": ["TuttiFormats", "TuttiNet"],
    // L3
    "Models": ["TuttiText", "TuttiEncoders", "TuttiFormats", "TuttiCorpus", "TuttiEnsemble", "TuttiHub"],
    // L4
    "Evaluation": ["TuttiModels", "TuttiCorpus", "TuttiKernels", "TuttiEnsemble", "TuttiObjectives", "TuttiFormats"],
    "Reports": ["TuttiFormats", "TuttiNet"],
    // L5
    "Training": belowTraining.union(["TuttiEvaluation", "TuttiReports", "TuttiNet", "TuttiHub"]),
    "Tutti": belowTraining.union(["TuttiEvaluation", "TuttiReports", "TuttiTraining", "TuttiHub"]),
    // L6
    "TuttiMPI": ["Tutti", "TuttiEnsembleMPI"],
    "tutti-cli": belowTraining.union([
        "TuttiEvaluation", "TuttiReports", "TuttiTraining", "TuttiEnsembleMPI", "TuttiLaunch", "TuttiHub",
        "CTuttiSignals", "ArgumentParser", "Yams",
    ]),
    "tutti-world": belowTraining.union([
        "TuttiEvaluation", "TuttiReports", "TuttiTraining", "TuttiEnsembleMPI", "CAllocationCounter",
    ]),
]

private let belowTraining: Set<String> = [
    "TuttiModels", "TuttiObjectives", "TuttiEncoders", "TuttiCorpus", "TuttiText", "TuttiKernels", "TuttiFormats",
    "TuttiEnsemble",
]

/// Modules of the toolchain that every Swift module may use.
private let toolchain: Set<String> = [
    "Foundation", "FoundationEssentials", "Glibc", "Musl", "Synchronization", "Dispatch", "Swift",
]

/// Files that are one table of data and may be longer than 400 lines.
private let dataTables: Set<String> = ["Text/UnicodeTables.swift", "Text/UnicodeClassTables.swift"]

/// A breach of the rules, told as file:line and what it is.
struct Breach: CustomStringConvertible {
    let place: String
    let problem: String
    var description: String { "\(place): \(problem)" }
}

/// The module that a line of Swift imports, or nil: `import A`, `import struct A.B`, `@preconcurrency public import A`.
func importedModule(_ line: Substring) -> String? {
    var words = line.split { $0 == " " || $0 == "\t" || $0 == ";" }[...]
    while let word = words.first, word != "import" {
        guard word.hasPrefix("@") || ["public", "package", "internal", "fileprivate", "private"].contains(word) else {
            return nil
        }
        words = words.dropFirst()
    }
    guard words.count > 1 else { return nil }
    words = words.dropFirst()
    let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
    if let first = words.first, kinds.contains(first) { words = words.dropFirst() }
    return words.first.map { String($0.prefix { $0 != "." }) }
}

/// The breaches in one Swift file of the folder `module`.
func breaches(module: String, path: String, text: String) -> [Breach] {
    var found: [Breach] = []
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let allowed = (layers[module] ?? []).union(toolchain).union(["TuttiGround"])
    for (index, line) in lines.enumerated() {
        let place = "\(path):\(index + 1)"
        if let imported = importedModule(line), !allowed.contains(imported) {
            found.append(Breach(place: place, problem: "\(module) may not import \(imported)"))
        }
        let code = line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line
        for banned in ["try!", "fatalError("] where code.contains(banned) {
            found.append(Breach(place: place, problem: "\(banned) ends the process without telling an error"))
        }
    }
    let count = lines.last?.isEmpty == true ? lines.count - 1 : lines.count
    if count > 400, !dataTables.contains(path) {
        found.append(Breach(place: path, problem: "has \(count) lines, more than 400"))
    }
    return found
}

@Suite struct LayeringTests {
    private let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Sources").path

    /// The files below Sources/ as (folder, path from Sources/).
    private func files() throws -> [(module: String, path: String)] {
        try FileManager.default.subpathsOfDirectory(atPath: sources).sorted().compactMap { path in
            guard let slash = path.firstIndex(of: "/") else { return nil }
            return (String(path[..<slash]), path)
        }
    }

    @Test func everyModuleIsInTheTable() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: sources).filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: sources + "/" + name, isDirectory: &isFolder)
                && isFolder.boolValue
        }
        #expect(Set(folders) == Set(layers.keys))
    }

    @Test func theTableHasNoCycle() {
        func folder(_ module: String) -> String {
            layers[module] == nil ? module.replacingOccurrences(of: "Tutti", with: "") : module
        }
        var settled: Set<String> = []
        var remaining = Set(layers.keys)
        while !remaining.isEmpty {
            let ready = remaining.filter { name in
                (layers[name] ?? []).allSatisfy { layers[folder($0)] == nil || settled.contains(folder($0)) }
            }
            guard !ready.isEmpty else {
                Issue.record("modules depend on each other: \(remaining.sorted())")
                return
            }
            settled.formUnion(ready)
            remaining.subtract(ready)
        }
        #expect(settled.count == layers.count)
    }

    @Test func everyFileKeepsTheRules() throws {
        var swiftFiles = 0
        for (module, path) in try files() where path.hasSuffix(".swift") {
            let text = try String(contentsOfFile: sources + "/" + path, encoding: .utf8)
            for breach in breaches(module: module, path: path, text: text) { Issue.record("\(breach)") }
            swiftFiles += 1
        }
        #expect(swiftFiles > 50)
    }

    @Test func filesInCAreNoLongerThanOthers() throws {
        for (_, path) in try files() where path.hasSuffix(".c") || path.hasSuffix(".h") {
            let text = try String(contentsOfFile: sources + "/" + path, encoding: .utf8)
            #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count <= 401, "\(path)")
        }
    }

    @Test func breachesAreFound() {
        func problems(_ module: String, _ text: String) -> [String] {
            breaches(module: module, path: "x.swift", text: text).map(\.description)
        }
        #expect(problems("Text", "import Foundation\nimport TuttiFormats\n").isEmpty)
        #expect(problems("Text", "import TuttiKernels") == ["x.swift:1: Text may not import TuttiKernels"])
        #expect(problems("Encoders", "\n@preconcurrency public import struct TuttiEnsemble.X").count == 1)
        #expect(problems("Training", "import TuttiEnsembleMPI").count == 1)
        #expect(problems("tutti-cli", "import CTuttiMPI").count == 1)
        #expect(problems("Formats", "import TuttiText").count == 1)
        #expect(problems("Unknown", "import TuttiFormats").count == 1)
        #expect(problems("Text", "let importance = 1 // import TuttiKernels\nimporting(TuttiKernels)").isEmpty)
        #expect(problems("Text", "a = try! b()\nfatalError(\"x\")").count == 2)
        #expect(problems("Text", "// never try! or fatalError(\n").isEmpty)
        #expect(problems("Text", String(repeating: "\n", count: 400)).isEmpty)
        #expect(problems("Text", String(repeating: "\n", count: 401)).count == 1)
    }
}
