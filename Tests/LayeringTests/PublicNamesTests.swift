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

    /// docs/api.txt has every public declaration with its types and defaults: its changes are those of the interface.
    @Test func theListingOfTheInterfaceIsThatOfTheSources() throws {
        let listing =
            try FileManager.default.subpathsOfDirectory(atPath: sources).filter { $0.hasSuffix(".swift") }
            .flatMap { path -> [String] in
                let module = path.prefix { $0 != "/" }
                let text = try String(contentsOfFile: sources + "/" + path, encoding: .utf8)
                return PublicInterface.declarations(text).map { "\(module) \($0)" }
            }.sorted().joined(separator: "\n") + "\n"
        let file = URL(fileURLWithPath: sources).deletingLastPathComponent().appendingPathComponent("docs/api.txt")
        if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1" {
            try listing.write(to: file, atomically: true, encoding: .utf8)
        }
        let kept = try String(contentsOf: file, encoding: .utf8)
        func lines(_ text: String) -> Set<Substring> { Set(text.split(separator: "\n")) }
        #expect(lines(listing).subtracting(lines(kept)).sorted() == [], "RECORD_SNAPSHOTS=1 writes docs/api.txt anew")
        #expect(lines(kept).subtracting(lines(listing)).sorted() == [], "RECORD_SNAPSHOTS=1 writes docs/api.txt anew")
        #expect(listing == kept)
    }

    @Test func declarationsAreRead() {
        let text = """
            // public func no() {}
            public struct A<B>: C {
                /// Doc { with brace.
                public let d: Int, e = "}"
                public private(set) var f: [String: Int] = [:]
                var g: Int { 1 }
                package func h() {}
                public func i(
                    j: Int = 1, k: (Int) -> Void = { _ in }
                ) throws -> Int where B: C {
                    let public = "\\(l.map { "}" })"
                    func public_() {}
                    return 1
                }
                @inlinable
                public init?(m: Int) { self.init() }
                enum N { case o }
                public enum P: String { case q, r = "{" }
            }
            public protocol S: AnyObject {
                var t: Int { get }
                func u() throws
            }
            public extension V { func w() {} }
            extension V { public typealias X = Int }
            extension V { public subscript(y: Int) -> Int { 1 } }
            """
        #expect(
            PublicInterface.declarations(text) == [
                "public struct A<B>: C", "A: public let d: Int, e = \"}\"",
                "A: public private(set) var f: [String: Int] = [:]",
                "A: public func i( j: Int = 1, k: (Int) -> Void = { _ in } ) throws -> Int where B: C",
                "A: public init?(m: Int)",
                "A: public enum P: String", "A.P: case q, r = \"{\"", "public protocol S: AnyObject", "S: var t: Int",
                "S: func u() throws", "V: func w()", "V: public typealias X = Int",
                "V: public subscript(y: Int) -> Int",
            ])
    }

    @Test func publicNamesAreFound() {
        #expect(publicNames("public final class A: B {\n    public func c() {}\n}") == ["A"])
        #expect(publicNames("@frozen public struct A<B> {}\npublic func c(_ d: E) {}") == ["A", "c"])
        #expect(publicNames("package enum A {}") == [])
        #expect(publicNames("extension A {\n    public struct B {}\n}") == [])
    }
}
