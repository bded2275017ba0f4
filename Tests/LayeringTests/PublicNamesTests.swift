// The library's face: what is public in the modules that `Tutti` and `TuttiMPI` export is what their documentation lists.

import Foundation
import Testing

/// The public names that `text` declares at the top level of a file.
func publicNames(_ text: String) -> Set<String> {
    let kinds: Set<Substring> = ["class", "struct", "enum", "protocol", "typealias", "func", "let", "var", "actor"]
    var names: Set<String> = []
    for line in text.split(separator: "\n") {
        var words = line.split(separator: " ")
        while let first = words.first, first.hasPrefix("@") { words.removeFirst() }
        guard line.first?.isWhitespace == false, words.first == "public" || words.first == "open" else { continue }
        guard let kind = words.firstIndex(where: { kinds.contains($0) }), kind + 1 < words.count else { continue }
        names.insert(String(words[kind + 1].prefix { $0.isLetter || $0.isNumber || $0 == "_" }))
    }
    return names
}

@Suite struct PublicNamesTests {
    private let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Sources").path

    private func files(_ suffix: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: sources).filter { $0.hasSuffix(suffix) }.map { path in
            try String(contentsOfFile: sources + "/" + path, encoding: .utf8)
        }
    }

    @Test func theDocumentationListsEveryPublicNameAndNoOther() throws {
        let declared = try files(".swift").reduce(into: Set<String>()) { $0.formUnion(publicNames($1)) }
        var listed: Set<String> = []
        for page in try files(".docc/Tutti.md") + files(".docc/Extending.md") {
            for line in page.split(separator: "\n") where line.hasPrefix("- ``") {
                let name = line.dropFirst(4).prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                #expect(listed.insert(String(name)).inserted, "\(name) is listed twice")
            }
        }
        #expect(declared.subtracting(listed).sorted() == [])
        #expect(listed.subtracting(declared).sorted() == [])
        #expect(declared.count > 60)
    }

    @Test func publicNamesAreFound() {
        #expect(publicNames("public final class A: B {\n    public func c() {}\n}") == ["A"])
        #expect(publicNames("@frozen public struct A<B> {}\npublic func c(_ d: E) {}") == ["A", "c"])
        #expect(publicNames("package enum A {}") == [])
        #expect(publicNames("extension A {\n    public struct B {}\n}") == [])
    }
}
