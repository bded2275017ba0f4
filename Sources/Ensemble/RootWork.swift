// RootWork: operations built from the collectives, the same for threads and processes.
//
// `onRoot` distributes rank zero's files, evaluations and errors: result or error is broadcast, so that no rank waits
// for a message that a failed rank zero will never send.

import Foundation
import TuttiGround

extension Ensemble {
    /// Rank `root`'s bytes on every rank; the argument of the other ranks is ignored. Collective.
    public func broadcast(_ bytes: [UInt8], root: Int = 0) throws -> [UInt8] {
        if size == 1 { return bytes }
        var length = Int64(bytes.count)
        try withUnsafeMutableBytes(of: &length) { try broadcast($0, root: root) }
        var received = rank == root ? bytes : [UInt8](repeating: 0, count: Int(length))
        try received.withUnsafeMutableBytes { try broadcast($0, root: root) }
        return received
    }

    /// Rank `root`'s data on every rank; the argument of the other ranks is ignored. Collective.
    public func broadcast(_ data: Data, root: Int = 0) throws -> Data {
        Data(try broadcast([UInt8](data), root: root))
    }

    /// Rank `root`'s text on every rank; the argument of the other ranks is ignored. Collective.
    public func broadcast(_ text: String, root: Int = 0) throws -> String {
        String(decoding: try broadcast(Array(text.utf8), root: root), as: UTF8.self)
    }

    /// One number of every rank, `[W]`, written without allocating. Collective.
    public func gatherCounts(_ own: Int, into counts: UnsafeMutableBufferPointer<Int>) throws {
        precondition(counts.count == size, "gatherCounts: \(counts.count) places for \(size) ranks")
        try withUnsafeTemporaryAllocation(of: Int.self, capacity: size + 1) { scratch in
            let widths = UnsafeMutableBufferPointer(rebasing: scratch[0..<size])
            widths.initialize(repeating: MemoryLayout<Int>.size)
            scratch[size] = own
            try allGather(
                UnsafeRawBufferPointer(start: scratch.baseAddress.map { $0 + size }, count: MemoryLayout<Int>.size),
                counts: UnsafeBufferPointer(widths), into: UnsafeMutableRawBufferPointer(counts))
        }
    }

    /// One number of every rank, in rank order. Collective.
    public func gatherCounts(_ own: Int) throws -> [Int] {
        var counts = [Int](repeating: 0, count: size)
        try counts.withUnsafeMutableBufferPointer { try gatherCounts(own, into: $0) }
        return counts
    }

    /// The bytes of every rank, in rank order; lengths may differ. Collective.
    public func gather(_ own: [UInt8]) throws -> [[UInt8]] {
        let counts = try gatherCounts(own.count)
        var joined = [UInt8](repeating: 0, count: counts.reduce(0, +))
        try joined.withUnsafeMutableBytes { into in
            try own.withUnsafeBytes { bytes in
                try counts.withUnsafeBufferPointer { try allGather(bytes, counts: $0, into: into) }
            }
        }
        var start = 0
        return counts.map { count in
            defer { start += count }
            return Array(joined[start..<start + count])
        }
    }

    /// The maximum `code` over ranks: how ranks agree to stop, save or fail at the same step. Collective.
    public func agree(code: Int32) throws -> Int32 {
        var value = Double(code)
        try withUnsafeMutablePointer(to: &value) {
            try allReduceMax(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return Int32(value)
    }

    /// Runs `body` on rank zero and returns its result on every rank. Collective.
    ///
    /// - Throws: the error that `body` threw, as a `TuttiError`, on every rank, including rank zero. `body` must not call
    ///   collectives.
    public func onRoot<T: Codable>(_ body: () throws -> T) throws -> T {
        var result: T?
        var envelope = RootEnvelope()
        if isRoot {
            do {
                let value = try body()
                result = value
                if size > 1 { envelope.value = try RootEnvelope.encoder().encode(RootValue(value: value)) }
            } catch {
                envelope.failure = TuttiError(error)
                envelope.failure?.isShared = true
            }
        }
        if size > 1 {
            let sent = try RootEnvelope.encoder().encode(envelope)
            let received = try broadcast(sent)
            if !isRoot { envelope = try RootEnvelope.decoder().decode(RootEnvelope.self, from: received) }
        }
        if let failure = envelope.failure { throw failure }
        if let result { return result }
        guard let value = envelope.value else {
            throw TuttiError(.retryable, "onRoot", "", "the result of rank zero did not arrive", rank: 0)
        }
        return try RootEnvelope.decoder().decode(RootValue<T>.self, from: value).value
    }

    /// Runs `body` on rank zero; every rank returns afterwards, or throws its error. Collective.
    public func onRoot(_ body: () throws -> Void) throws {
        _ = try onRoot { () throws -> Bool in
            try body()
            return true
        }
    }

    /// Checks that every rank runs the same thing: version, configuration digest, data digest. Collective.
    ///
    /// - Parameter identity: one line, which must be equal on all ranks.
    /// - Throws: a usage error on every rank, naming the first rank that differs and both texts.
    public func verifyIdentity(_ identity: String) throws {
        let all = try gather(Array(identity.utf8))
        guard let differing = all.firstIndex(where: { $0 != all[0] }) else { return }
        let theirs = String(decoding: all[differing], as: UTF8.self)
        let first = String(decoding: all[0], as: UTF8.self)
        var error = TuttiError(
            .usage, "compare the ranks", "", "runs \"\(theirs)\" but rank 0 runs \"\(first)\"",
            hint: "Start all ranks with the same program and files.", rank: differing)
        error.host = host(of: differing)
        error.isShared = true
        throw error
    }
}

/// What rank zero sends: the encoded value, or the failure.
private struct RootEnvelope: Codable {
    var value: Data?
    var failure: TuttiError?

    static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }

    static func decoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }
}

/// A value of any kind, wrapped because the top level of JSON is an object.
private struct RootValue<T: Codable>: Codable {
    var value: T
}
