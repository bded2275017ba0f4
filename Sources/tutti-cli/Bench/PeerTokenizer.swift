// Hugging Face tokenizers as the baseline: a Python process that tokenizes the same texts on request.
//
// Python is $TUTTI_PEER/bin/python (a virtual environment), else the first python3 in PATH. It uses
// one thread and its batch call; only the call is timed, inside the process.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiTraining

/// A running Hugging Face tokenizer.
final class PeerTokenizer {
    /// The version of the library.
    let version: String
    private let child: Child

    private static let program = [
        "import json, sys, time",
        "from tokenizers import Tokenizer, __version__",
        "tokenizer = Tokenizer.from_file(sys.argv[1])",
        "tokenizer.no_truncation()",
        "tokenizer.no_padding()",
        "with open(sys.argv[2], encoding=\"utf-8\") as file:",
        "    texts = [json.loads(line) for line in file]",
        "print(json.dumps({\"version\": __version__}), flush=True)",
        "for line in sys.stdin:",
        "    started = time.perf_counter()",
        "    encodings = tokenizer.encode_batch(texts)",
        "    seconds = time.perf_counter() - started",
        "    tokens = sum(len(encoding.ids) for encoding in encodings)",
        "    del encodings",
        "    print(json.dumps({\"seconds\": seconds, \"tokens\": tokens}), flush=True)",
    ].joined(separator: "\n")

    /// Starts the tokenizer of `file` on the file `texts`, one JSON string per line; nil if no Python has the
    /// library.
    static func start(tokenizer file: String, texts: String) -> PeerTokenizer? {
        guard let python, let child = Child(python, ["-c", program, file, texts]),
            let version = child.answer()?["version"]?.string
        else { return nil }
        return PeerTokenizer(version: version, child: child)
    }

    private init(version: String, child: Child) {
        self.version = version
        self.child = child
    }

    /// Seconds and tokens of one pass over all texts; nil if the process has ended.
    func measure() -> (seconds: Double, tokens: Int)? {
        guard child.ask(), let answer = child.answer(), let seconds = answer["seconds"]?.double,
            let tokens = answer["tokens"]?.int
        else { return nil }
        return (seconds, tokens)
    }

    /// Where Python was looked for, in words.
    static var pythonDescription: String { python ?? "any python3" }

    private static var python: String? {
        let environment = ProcessInfo.processInfo.environment
        var candidates = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/python3" }
        if let peer = environment["TUTTI_PEER"] { candidates = [peer + "/bin/python"] }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

/// A process that answers each line with a line of JSON; it ends with the object.
private final class Child {
    private let process = Process()
    private let requests = Pipe()
    private let answers = Pipe()
    private var unread: [UInt8] = []

    /// Starts `program`; nil if it cannot be started.
    init?(_ program: String, _ arguments: [String]) {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = requests
        process.standardOutput = answers
        process.standardError = FileHandle.nullDevice
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"]) { _, own in own }
        SignalThread.release()  // a child inherits the signal mask of the thread that starts it
        defer { SignalThread.hold() }
        do {
            try process.run()
        } catch {
            return nil
        }
    }

    deinit {
        requests.fileHandleForWriting.closeFile()  // end of input ends it
        process.waitUntilExit()
    }

    /// Requests an answer; false if the process is gone.
    func ask() -> Bool {
        do {
            try requests.fileHandleForWriting.write(contentsOf: Data("go\n".utf8))
            return true
        } catch {
            return false
        }
    }

    /// The next line of the process; nil at its end, or if it is not JSON.
    func answer() -> JSONValue? {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: unread[..<end], as: UTF8.self)
                unread.removeSubrange(...end)
                do {
                    return try JSONValue.parse(line, source: "peer")
                } catch {
                    return nil
                }
            }
            let more = answers.fileHandleForReading.availableData
            if more.isEmpty { return nil }
            unread += more
        }
    }
}
