// Work that every rank does independently and that may fail on some: reading files, loading weights.

import Foundation
import TuttiGround

extension Ensemble {
    /// Runs `body` on every rank; if it throws on any, every rank throws. Collective.
    ///
    /// - Throws: the error of the lowest failing rank, which it names if others succeeded. `body` must not call
    ///   collectives.
    package func together<T>(_ operation: String, _ body: () throws -> T) throws -> T {
        guard size > 1 else { return try body() }
        let outcome = Result(catching: body)
        var own: [UInt8] = []
        if case .failure(let error) = outcome { own = [UInt8](try JSONEncoder().encode(TuttiError(error))) }
        let reports = try gather(own)
        guard let failing = reports.firstIndex(where: { !$0.isEmpty }) else { return try outcome.get() }
        var error = try JSONDecoder().decode(TuttiError.self, from: Data(reports[failing]))
        error.isShared = true
        if reports.contains(where: \.isEmpty) { (error.rank, error.host) = (failing, host(of: failing)) }
        throw error
    }
}
