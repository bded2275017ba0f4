// Runs one fuzz target many times, in one process: see launch/fuzz, which builds this with sanitizers.
//
//   TuttiFuzz                                 lists the targets
//   TuttiFuzz NAME COUNT [FIRST] [STATE]      the inputs of COUNT seeds from FIRST (0) on; STATE is a file that holds the
//                                             seed at work, for what ends the process
//   TuttiFuzz NAME --write SEED FILE          writes the input of a seed
//
// Prints a line of counts. Exit codes: 0 no finding; 1 an error of another kind than bad data, or an input that took longer
// than `slowest` seconds; 64 usage. A trap or a sanitizer's report ends the process with a code of its own, and an input
// that takes `hanging` seconds ends it with SIGABRT.

import FuzzTargets
import Foundation

/// Seconds that one input may take.
private let (slowest, hanging) = (10.0, 60.0)

private func fail(_ code: Int32, _ message: String) -> Never {
    FileHandle.standardError.write(Data("fuzz: \(message)\n".utf8))
    exit(code)
}

/// Ends the process if no input is finished for `hanging` seconds.
private final class Watch: @unchecked Sendable {
    private let lock = NSLock()
    private var last = Date()
    private var seed: UInt64 = 0

    func began(_ seed: UInt64) {
        lock.lock()
        (last, self.seed) = (Date(), seed)
        lock.unlock()
    }

    func start(_ name: String) {
        Thread.detachNewThread {
            while true {
                Thread.sleep(forTimeInterval: 1)
                self.lock.lock()
                let (waited, seed) = (Date().timeIntervalSince(self.last), self.seed)
                self.lock.unlock()
                if waited > hanging {
                    FileHandle.standardError.write(Data("fuzz: \(name): seed \(seed) hangs\n".utf8))
                    abort()
                }
            }
        }
    }
}

private func run(_ target: FuzzTarget, count: UInt64, first: UInt64, state: String?) throws {
    let corpus = try target.corpus()
    let folder = try FuzzFolder()
    let watch = Watch()
    watch.start(target.name)
    let file = state.flatMap { path in
        FileManager.default.createFile(atPath: path, contents: nil) ? FileHandle(forWritingAtPath: path) : nil
    }
    guard try corpus.contains(where: { try target.isUsed($0, in: folder) }) else {
        fail(1, "\(target.name): the corpus itself is refused")
    }
    let begun = Date()
    var (used, refused, longest, slow) = (0, 0, 0.0, first)
    for seed in first..<first + count {
        try? file?.seek(toOffset: 0)
        file?.write(Data(String(format: "%020llu\n", seed).utf8))
        let input = target.input(seed: seed, of: corpus)
        watch.began(seed)
        let start = Date()
        do {
            if try target.isUsed(input, in: folder) { used += 1 } else { refused += 1 }
        } catch {
            fail(1, "\(target.name): seed \(seed): \(error)")
        }
        let seconds = Date().timeIntervalSince(start)
        if seconds > longest { (longest, slow) = (seconds, seed) }
        if seconds > slowest { fail(1, "\(target.name): seed \(seed) took \(seconds) s") }
    }
    print(
        String(
            format: "%@: %d executions, %d used, %d refused, slowest %.1f ms (seed %llu), %.0f s", target.name,
            used + refused, used, refused, longest * 1000, slow, Date().timeIntervalSince(begun)))
}

let arguments = CommandLine.arguments.dropFirst().map { $0 }
if arguments.isEmpty {
    for target in FuzzTarget.all { print(target.name) }
    exit(0)
}
guard let target = FuzzTarget.all.first(where: { $0.name == arguments[0] }) else {
    fail(64, "no parser '\(arguments[0])' (known: \(FuzzTarget.all.map(\.name).joined(separator: ", ")))")
}
if arguments.count == 4, arguments[1] == "--write", let seed = UInt64(arguments[2]) {
    try Data(target.input(seed: seed, of: target.corpus())).write(to: URL(fileURLWithPath: arguments[3]))
    exit(0)
}
guard arguments.count >= 2, let count = UInt64(arguments[1]) else { fail(64, "needs a parser and a number of inputs") }
let first = arguments.count > 2 ? UInt64(arguments[2]) : 0
guard let first else { fail(64, "'\(arguments[2])' is not a seed") }
try run(target, count: count, first: first, state: arguments.count > 3 ? arguments[3] : nil)
