// Texts of a store to tokens in files: the share of one rank, on all of its threads.

import Synchronization
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiModels
import TuttiText

/// Writes the tokens of a store's texts.
struct TokenWriting: Sendable {
    let store: RowStore
    /// Text columns of a row.
    let columns: Int
    let collator: Collator

    /// Bytes that the largest id needs.
    static func bytesAnID(_ collator: Collator) -> Int { collator.largestID <= UInt16.max ? 2 : 4 }

    /// Writes the share `share` of `shares` of all texts, as one part a thread.
    ///
    /// - Throws: `.retryable` with the system's reason.
    func write(part share: Int, of shares: Int, threads: Int, to folder: String) throws -> [TokenStore.Part] {
        let texts = store.rowCount * columns
        let results = Results()
        let work: @Sendable (Int) -> Void = { thread in
            let (number, count) = (share * max(1, threads) + thread, shares * max(1, threads))
            let result = Result { () throws(TuttiError) in
                try write(number, number * texts / count..<(number + 1) * texts / count, to: folder)
            }
            results.parts.withLock { $0[thread] = result }
        }
        let others = (1..<max(1, threads)).map { thread in (thread, RankThread { work(thread) }) }
        work(0)
        for (thread, started) in others {
            if let started { started.join() } else { work(thread) }  // the system had no more threads
        }
        let parts = results.parts.withLock { $0 }
        return try (0..<max(1, threads)).compactMap { try parts[$0]?.get() }
    }

    /// What each thread has written.
    private final class Results: Sendable {
        let parts = Mutex([Int: Result<TokenStore.Part, TuttiError>]())
    }

    private func write(_ number: Int, _ texts: Range<Int>, to folder: String) throws(TuttiError) -> TokenStore.Part {
        var scratch = TokenizerScratch()
        return try TokenStore.writePart(
            number, texts: texts, bytesAnID: Self.bytesAnID(collator), to: folder
        ) { text, ids throws(TuttiError) in
            if (text - texts.lowerBound) % 65_536 == 0 { store.release() }
            try store.check(row: text / columns)
            collator.read(store.text(text), column: text % columns, appendingTo: &ids, &scratch)
        }
    }
}
