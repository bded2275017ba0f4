// `tutti bench tokenizer`: Tutti's tokenizer, and Hugging Face's on the same texts if installed.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiText

struct TokenizerBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Measure the tokenizer, and Hugging Face tokenizers if installed.",
        discussion: """
            Texts are tokenized without truncation, on one thread and on --threads. The other library runs in Python \
            of the virtual environment TUTTI_PEER, else in python3, on one thread with its batch call.
            """)

    @Option(help: ArgumentHelp("Model folder or hub id (default: a generated vocabulary).", valueName: "path"))
    var model: String?

    @Option(help: ArgumentHelp("Folder with a tokenizer alone, instead of --model.", valueName: "folder"))
    var tokenizer: String?

    @Option(
        help: ArgumentHelp(
            "Lines of text, or a table, as .csv or .parquet (default: generated texts).", valueName: "file"))
    var input: String?

    @Option(help: ArgumentHelp("Column of a data file to read.", valueName: "name"))
    var column: String?

    @Option(help: ArgumentHelp("Maximum kilobytes of text.", valueName: "n"))
    var kilobytes = 2000

    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard kilobytes > 0 else { throw ValidationError("--kilobytes must be positive") }
        guard column == nil || input != nil else { throw ValidationError("--column needs --input") }
        guard model == nil || tokenizer == nil else { throw ValidationError("give --model or --tokenizer, not both") }
    }

    func run(on ensemble: any Ensemble) throws {
        let report = try bench.begin("tokenizer", on: ensemble)
        let (tokenizer, texts) = try ensemble.together("load tokenizer and texts") {
            let tokenizer = try loadTokenizer()
            return (tokenizer, try loadTexts(tokenizer))
        }
        let bytes = texts.reduce(0) { $0 + $1.utf8.count }
        guard bytes > 0 else {
            throw TuttiError(.data, "measure the tokenizer", input ?? "generated texts", "no text")
        }
        let folder = FileManager.default.temporaryDirectory.path + "/tutti-bench-" + UUID().uuidString
        let peer = try ensemble.together("start the other tokenizer") {
            ensemble.isRoot ? try startPeer(tokenizer, texts, folder: folder) : nil
        }
        var (own, others, threaded) = (Samples(), Samples(), Samples())
        var (ownTokens, peerTokens) = (0, 0)
        _ = tokenize(texts, tokenizer, threads: 1)  // pages and branch predictors
        _ = peer?.measure()
        for _ in 0..<bench.repetitions {
            own.add(Stopwatch.seconds { ownTokens = tokenize(texts, tokenizer, threads: 1) })
            if Parallel.threads > 1 {
                threaded.add(Stopwatch.seconds { _ = tokenize(texts, tokenizer, threads: Parallel.threads) })
            }
            if let measured = peer?.measure() {
                others.add(measured.seconds)
                peerTokens = measured.tokens
            }
        }
        try report.table(
            "Tokenizer, \(texts.count) texts, \(bytes / 1000) kB",
            [
                BenchColumn("tokenizer", "name", 22, .text), BenchColumn("threads", "used_threads", 7, .number(0)),
                BenchColumn("MB/s", "megabytes_per_second", 8, .number(2)),
                BenchColumn("spread", "megabytes_per_second", 17, .spread(2)),
                BenchColumn("texts/s", "texts_per_second", 9, .number(0)),
                BenchColumn("a thread", "megabytes_per_second_per_thread", 8, .number(2)),
                BenchColumn("ratio", "ratio", 7, .number(2)),
            ])
        func write(_ name: String, _ seconds: Samples, threads: Int, tokens: Int, ratio: Double?) throws {
            var line: JSONObject = ["name": .string(name)]
            line.set("used_threads", threads)
            line.set("bytes", bytes)
            line.set("texts", texts.count)
            line.set("tokens", tokens)
            line.set("megabytes_per_second", seconds.map { Double(bytes) / $0 / 1e6 })
            line.set("texts_per_second", seconds.map { Double(texts.count) / $0 })
            line["megabytes_per_second_per_thread"] = .number(Double(bytes) / seconds.median / 1e6 / Double(threads))
            line["ratio"] = ratio.map { .number($0) }
            try report.add("tokenizer", line)
        }
        let ratio = others.values.isEmpty ? nil : others.median / own.median
        try write("tutti", own, threads: 1, tokens: ownTokens, ratio: ratio)
        if Parallel.threads > 1 {
            try write("tutti", threaded, threads: Parallel.threads, tokens: ownTokens, ratio: nil)
        }
        if let peer, !others.values.isEmpty {
            try write("tokenizers \(peer.version)", others, threads: 1, tokens: peerTokens, ratio: 1)
            try report.note(
                peerTokens == ownTokens
                    ? "ratio: Tutti's speed over that of tokenizers, one thread each; both produced \(ownTokens) tokens"
                    : "token counts differ: \(ownTokens) by Tutti, \(peerTokens) by tokenizers")
        } else {
            try report.note(
                "Hugging Face tokenizers is not installed for \(PeerTokenizer.pythonDescription): "
                    + "nothing to compare with")
        }
        try ensemble.barrier()
    }

    private func loadTokenizer() throws -> Tokenizer {
        if let tokenizer { return try Tokenizer.load(directory: tokenizer) }
        if let model { return try SentenceEncoder.load(model).tokenizer }
        let smallest = try ModelShape(hidden: 16, inner: 16, layers: 1, heads: 1, vocabulary: 30_522)
        return try RandomModel.load(smallest).tokenizer
    }

    private func loadTexts(_ tokenizer: Tokenizer) throws -> [String] {
        guard let input else {
            var source = try SampleTexts(tokenizer: tokenizer)
            return source.prose(bytes: kilobytes * 1000)
        }
        var rest = kilobytes * 1000
        return try loadTextColumn(input, column: column).prefix { text in
            defer { rest -= text.utf8.count }
            return rest > 0
        }
    }

    /// Starts the other library on the same texts; its input files are removed before this returns.
    private func startPeer(_ tokenizer: Tokenizer, _ texts: [String], folder: String) throws -> PeerTokenizer? {
        guard let file = tokenizer.files.first(where: { $0.name == "tokenizer.json" }) else { return nil }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(.retryable, "measure the tokenizer", folder, "\(error.localizedDescription)")
        }
        defer { RandomModel.removeFolder(folder) }
        try AtomicWrite.file(path: folder + "/tokenizer.json", bytes: file.bytes)
        let lines = texts.map { JSONValue.string($0).serialized() + "\n" }.joined()
        try AtomicWrite.file(path: folder + "/texts.jsonl", text: lines)
        return PeerTokenizer.start(tokenizer: folder + "/tokenizer.json", texts: folder + "/texts.jsonl")
    }

    /// Tokenizes all texts and returns the number of tokens.
    private func tokenize(_ texts: [String], _ tokenizer: Tokenizer, threads: Int) -> Int {
        let grain = threads == 1 ? texts.count : max(1, texts.count / (threads * 8))
        let pieces = (texts.count + grain - 1) / grain
        let counts = UnsafeMutableBufferPointer<Int>.allocate(capacity: pieces)
        defer { counts.deallocate() }
        counts.initialize(repeating: 0)
        let starts = counts.baseAddress
        Parallel.forRange(texts.count, grain: grain) { range in
            var scratch = TokenizerScratch()
            var ids: [Int32] = []
            for index in range {
                tokenizer.encode(texts[index], maximumLength: nil, appendingTo: &ids, scratch: &scratch)
            }
            starts?[range.lowerBound / grain] = ids.count
        }
        return counts.reduce(0, +)
    }
}
