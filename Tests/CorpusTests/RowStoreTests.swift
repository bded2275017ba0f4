// Rows in the files of a cache: the table that they make is the one that is read into memory, in every respect that training
// can see; and what happens to entries that are damaged, unfinished or of other data.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct RowStoreTests {
    private let scratch: Scratch
    private var cache: RowCache { RowCache(CacheFolder(scratch.path + "/cache"), .always) }

    init() throws { scratch = try Scratch() }

    private func specification(_ text: String) throws -> DatasetSpecification {
        let json = try JSONValue.parse(text.replacingOccurrences(of: "\"@", with: "\"" + scratch.path + "/"))
        return try DatasetSpecification(option: json)
    }

    /// The folder of a data set in the cache.
    private func place(_ specification: DatasetSpecification, notice: (String) -> Void = { _ in }) throws -> String {
        guard case .stored(let path, _, _) = try cache.rows(of: specification, ranks: 1, waiting: notice) else {
            throw TuttiError(.data, "test", specification.path, "is not in the cache")
        }
        return path
    }

    private func stored(_ specification: DatasetSpecification) throws -> Table {
        try loadTable(specification, from: RowStore(path: place(specification)))
    }

    /// Lines of made-up pairs, some of them equal, with scores.
    private func lines(_ rows: Int, fractions: Bool = false) -> String {
        var random = CounterRandom(seed: 5, stream: 1)
        return (0..<rows).map { row in
            let (a, b) = (random.number(below: 40), random.number(below: 60))
            let label = fractions && row > rows / 2 ? "0.5" : "\(a % 3)"
            let empty = row == 7 ? "" : "wörd \(b)"
            return "{\"anchor\": \"text \(a)\", \"positive\": \"\(empty)\", \"label\": \(label)}\n"
        }.joined()
    }

    private static let specifications = [
        "{\"path\": \"@a.jsonl\"}",
        "{\"path\": \"@a.jsonl\", \"columns\": [\"positive\", \"anchor\"]}",
        "{\"path\": [\"@a.jsonl\", \"@b.jsonl\"], \"rename\": {\"anchor\": \"query\"}}",
        "{\"path\": [\"@a.jsonl\", \"@b.jsonl\"], \"rows\": \"150:260\"}",
        "{\"path\": \"@a.jsonl\", \"filter\": [\"empty\", \"duplicate\"]}",
        "{\"path\": \"@a.jsonl\", \"filter\": {\"max_length\": 6}, \"shuffle\": 3}",
        "{\"path\": \"@a.jsonl\", \"shuffle\": {\"buffer\": 20, \"seed\": 4}}",
        "{\"path\": \"@c.csv\"}",
        "{\"path\": \"@c.csv\", \"header\": [\"a\", \"b\"], \"rows\": \"1:\"}",
        "{\"path\": \"@d.txt\", \"columns\": [\"text\", \"text\"]}",
        "{\"path\": \"\(Goldens.path("columnar"))/texts~pyarrow-large.parquet\", \"columns\": [\"anchor\", \"positive\"], \"filter\": [\"empty\"]}",
        "\"@e.csv.gz\"",
    ]

    private func writeFiles() throws {
        _ = try scratch.file("a.jsonl", lines(200))
        _ = try scratch.file("b.jsonl", lines(100, fractions: true))
        _ = try scratch.file("c.csv", "a,b\nx y,\"two\nlines\"\nx y,z\n\"q\"\"q\",z\n")
        _ = try scratch.file("d.txt", "one\r\ntwo\n\nthree")
        let zipped = Process()
        zipped.executableURL = URL(fileURLWithPath: "/bin/sh")
        zipped.arguments = ["-c", "gzip -c '\(scratch.path)/c.csv' > '\(scratch.path)/e.csv.gz'"]
        try zipped.run()
        zipped.waitUntilExit()
    }

    @Test func aStoredTableIsTheOneInMemory() throws {
        try writeFiles()
        for text in Self.specifications {
            let specification = try specification(text)
            let (memory, stored) = try (loadTable(specification), stored(specification))
            #expect(stored.store != nil && memory.store == nil)
            #expect(stored.columnNames == memory.columnNames && stored.labelName == memory.labelName, "\(text)")
            #expect(rows(stored) == rows(memory), "\(text)")
            #expect(stored.labelSummary == memory.labelSummary, "\(text)")
            #expect((0..<memory.rowCount).allSatisfy { stored.label(row: $0) == memory.label(row: $0) }, "\(text)")
            #expect(stored.contentDigest() == memory.contentDigest(), "\(text)")
            #expect(stored.notices == memory.notices, "\(text)")
            try stored.check(rows: (0..<Int32(stored.rowCount)))
        }
    }

    @Test(arguments: BatchSamplerRegistry.all.map(\.name)) func samplersMakeTheSameBatches(_ name: String) throws {
        try writeFiles()
        let sampler = try BatchSamplerRegistry.sampler(named: name)
        for text in [
            "{\"path\": \"@a.jsonl\"}", "{\"path\": \"@a.jsonl\", \"filter\": [\"duplicate\"], \"shuffle\": 1}",
        ] {
            let specification = try specification(text)
            for (epoch, size) in [(0, 16), (1, 16), (2, 6), (3, 64)] {
                func plan(_ table: Table) throws -> EpochPlan {
                    try sampler.check(table, globalBatchSize: size)
                    return planEpoch(sampler, table, globalBatchSize: size, epoch: epoch, seed: 3, dropLast: false)
                }
                let (files, memory) = try (plan(stored(specification)), plan(loadTable(specification)))
                #expect(files == memory, "\(name) \(size) \(text)")
            }
        }
    }

    @Test func sharesForValidationAreTheSame() throws {
        try writeFiles()
        let specification = try specification("\"@a.jsonl\"")
        let (memory, files) = try (
            loadTable(specification).validationSplit(0.2), stored(specification).validationSplit(0.2)
        )
        #expect(rows(memory.training) == rows(files.training) && rows(memory.validation) == rows(files.validation))
        #expect(memory.validation.contentDigest() == files.validation.contentDigest())
    }

    @Test func readingStopsAfterTheRowsInUse() throws {
        for (ending, text) in [("jsonl", "{\"a\": \"x\"}\n{\"a\": \"y\"}\n{\"a\": oops\n"), ("csv", "a\nx\ny\nz,w\n")] {
            _ = try scratch.file("f.\(ending)", text)
            let first = try specification("{\"path\": \"@f.\(ending)\", \"rows\": \"0:2\"}")
            let (memory, files) = try (rows(loadTable(first)), rows(stored(first)))
            #expect(memory == [["x"], ["y"]] && files == memory)
            let all = try specification("\"@f.\(ending)\"")
            let (plain, cached) = (failure { try loadTable(all) }, failure { try stored(all) })
            #expect(plain?.kind == .data && plain == cached, "the same error, and nothing is left")
            let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/cache")
            #expect(!left.contains { $0.hasSuffix(".tmp") })
        }
    }

    // MARK: Entries

    @Test func theContentDecidesAndNotTheName() throws {
        _ = try scratch.file("a.jsonl", lines(50))
        let first = try place(specification("\"@a.jsonl\""))
        var again = try place(specification("\"@a.jsonl\""))
        #expect(again == first)
        try FileManager.default.moveItem(atPath: scratch.path + "/a.jsonl", toPath: scratch.path + "/moved.jsonl")
        again = try place(specification("\"@moved.jsonl\""))
        #expect(again == first, "the same content elsewhere")
        again = try place(specification("{\"path\": \"@moved.jsonl\", \"columns\": [\"anchor\"]}"))
        #expect(again != first)
        again = try place(specification("{\"path\": \"@moved.jsonl\", \"filter\": [\"duplicate\"]}"))
        #expect(again == first)
        _ = try scratch.file("a.jsonl", lines(51))
        again = try place(specification("\"@a.jsonl\""))
        #expect(again != first)
        // As long as before, and changed.
        let changed = lines(50).replacingOccurrences(of: "text 1", with: "text 7")
        _ = try scratch.file("moved.jsonl", changed)
        let other = try specification("\"@moved.jsonl\"")
        again = try place(other)
        #expect(again != first)
        let (files, memory) = try (rows(stored(other)), rows(loadTable(other)))
        #expect(files == memory)
    }

    @Test func aDamagedEntryIsMadeAgain() throws {
        try writeFiles()
        let specification = try specification("\"@a.jsonl\"")
        let whole = try place(specification)
        let expected = try rows(loadTable(specification))
        let damages: [(String, (inout [UInt8]) -> Void)] = [
            ("rows.json", { $0[$0.count / 2] ^= 1 }), ("rows.json", { $0.removeLast(20) }),
            ("offsets", { $0[30] ^= 1 }), ("numbers", { $0[5] ^= 1 }), ("labels", { $0.removeLast() }),
            ("texts", { $0.removeFirst() }),
        ]
        for (name, damage) in damages {
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(whole)/\(name)")))
            damage(&bytes)
            try Data(bytes).write(to: URL(fileURLWithPath: "\(whole)/\(name)"))
            var said: [String] = []
            let again = try place(specification) { said.append($0) }
            #expect(again == whole)
            #expect(said.count == 1 && said.first?.contains("made again") ?? false, "\(name): \(said)")
            let found = try rows(stored(specification))
            #expect(found == expected)
        }
        // A flipped bit of a text shows when the text is read.
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(whole)/texts")))
        bytes[10] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: "\(whole)/texts"))
        let table = try stored(specification)
        let damage = failure { try table.check(rows: [0]) }
        #expect(damage?.kind == .data)
    }

    @Test func whatAKilledProcessLeavesIsNotTakenForWhole() throws {
        try writeFiles()
        let specification = try specification("\"@a.jsonl\"")
        let whole = try place(specification)
        try FileManager.default.moveItem(atPath: whole, toPath: whole + ".tmp")
        try FileManager.default.removeItem(atPath: whole + ".tmp/texts")
        // A lock of a process that is gone.
        let dead = Process()
        dead.executableURL = URL(fileURLWithPath: "/bin/true")
        try dead.run()
        dead.waitUntilExit()
        let name = (whole as NSString).lastPathComponent
        let lock = try CacheFolder(scratch.path + "/cache").lock(name) { _ in }
        let text = try String(contentsOfFile: whole + ".lock", encoding: .utf8)
        lock.release()
        let own = "\(ProcessInfo.processInfo.processIdentifier),"
        #expect(text.contains(own))
        try text.replacingOccurrences(of: own, with: "\(dead.processIdentifier),").write(
            toFile: whole + ".lock", atomically: false, encoding: .utf8)
        let again = try place(specification)
        #expect(again == whole)
        for ending in [".tmp", ".lock"] { #expect(!FileManager.default.fileExists(atPath: whole + ending)) }
        let (files, memory) = try (rows(stored(specification)), rows(loadTable(specification)))
        #expect(files == memory)
    }

    @Test func onlyOneOfManyMakesIt() throws {
        try writeFiles()
        let specification = try specification("\"@a.jsonl\"")
        let cache = cache
        let outcomes = try withEvery(world: 4...4) { _ in
            try cache.rows(of: specification, ranks: 1, waiting: { _ in })
        }
        var notices: [String] = []
        for outcome in try #require(outcomes[4]) {
            guard case .stored(_, _, let notice) = outcome else { throw TuttiError(.data, "test", "", "not stored") }
            notices.append(notice)
        }
        #expect(
            notices.count { $0.contains("written") } == 1 && notices.count { $0.contains("found") } == 3, "\(notices)")
    }

    @Test func whatCannotBeThereSaysWhy() throws {
        _ = try scratch.file("lists.jsonl", "{\"q\": \"a\", \"pos\": [\"b\", \"c\"]}\n")
        guard
            case .plain(let reason) = try cache.rows(
                of: specification("\"@lists.jsonl\""), ranks: 1, waiting: { _ in })
        else { throw TuttiError(.data, "test", "", "stored") }
        #expect(reason?.contains("lists") ?? false)
        let small = RowCache(CacheFolder(scratch.path + "/cache"), .auto)
        let lists = try specification("\"@lists.jsonl\"")
        #expect(!small.wants(lists, ranks: 1))
        #expect(mkfifo(scratch.path + "/pipe.jsonl", 0o600) == 0)
        let refusal = failure { try loadTable(try specification("\"@pipe.jsonl\"")) }
        #expect(refusal?.kind == .usage && refusal?.hint?.contains("streaming") ?? false)
    }

    @Test func sourcesThatChangeAreNoticed() throws {
        _ = try scratch.file("a.jsonl", lines(20))
        guard
            case .stored(_, let sources, _) = try cache.rows(
                of: specification("\"@a.jsonl\""), ranks: 1, waiting: { _ in })
        else { throw TuttiError(.data, "test", "", "plain") }
        for source in sources { try source.checkIsUnchanged() }
        _ = try scratch.file("a.jsonl", lines(21))
        let change = failure { for source in sources { try source.checkIsUnchanged() } }
        #expect(change?.kind == .data)
    }
}
