// The calls of the library that scripts of sentence-transformers make.

import Foundation
import TestSupport
import Testing
import Tutti

@Suite struct ReferenceCallsTests {
    private let model = Goldens.path("training/bert-sgd/model")

    @Test func aSavedModelIsAModel() throws {
        let scratch = try TemporaryDirectory()
        let texts = ["gulo jeri", "hafo foba jegu"]
        let first = try SentenceTransformer.load(model)
        for _ in 1...2 {  // the second replaces the first
            try first.savePretrained(scratch.path + "/saved")
            let second = try SentenceTransformer.load(scratch.path + "/saved")
            #expect(try second.encode(texts).flattened == first.encode(texts).flattened)
        }
    }

    /// A folder or file of somebody else's is not replaced.
    @Test func whatIsNoModelIsKept() throws {
        let scratch = try TemporaryDirectory()
        let note = scratch.path + "/thesis.txt"
        try "months of work".write(toFile: note, atomically: true, encoding: .utf8)
        let model = try SentenceTransformer.load(model)
        for path in [scratch.path, note] {
            let error = #expect(throws: TuttiError.self) { try model.savePretrained(path) }
            #expect(error?.kind == .usage)
        }
        #expect(try String(contentsOfFile: note, encoding: .utf8) == "months of work")
    }

    @Test func columnsAndRowsOfATable() throws {
        let table = try Dataset(columns: [("anchor", ["a", "b", "c"]), ("positive", ["d", "e", "f"])])
        #expect(try table["positive"] == ["d", "e", "f"])
        #expect(throws: TuttiError.self) { try table["positiv"] }
        #expect(try table.select(1..<100)["anchor"] == ["b", "c"])
    }
}
