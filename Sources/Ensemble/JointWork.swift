// Work that every rank does by itself and that may fail on some of them: reading files, loading weights.

extension Ensemble {
    /// Runs `body` on every rank; if it throws on any, every rank throws. Collective.
    ///
    /// - Throws: `RootFailure` with the text and exit code of the lowest failing rank's error, its rank named if
    ///   others got through. `body` must not call collectives.
    public func together<T>(_ operation: String, _ body: () throws -> T) throws -> T {
        guard size > 1 else { return try body() }
        let outcome = Result(catching: body)
        var own: [UInt8] = []
        if case .failure(let error) = outcome {
            own = Array("\(ExitCode.of(error)) \(error)".utf8)
        }
        let reports = try gather(own)
        guard let failing = reports.firstIndex(where: { !$0.isEmpty }) else { return try outcome.get() }
        let text = String(decoding: reports[failing], as: UTF8.self)
        let parts = text.split(separator: " ", maxSplits: 1)
        let code = parts.first.flatMap { Int32($0) } ?? ExitCode.retryable
        let message = parts.count > 1 ? String(parts[1]) : operation
        let everywhere = reports.allSatisfy { !$0.isEmpty }
        throw RootFailure(code: code, message: everywhere ? message : "rank \(failing): \(message)")
    }
}
