// An ensemble that does most of what it does through another one, and some of it in its own way.

/// An ensemble over `whole`: what it does not implement itself is that of `whole`.
package protocol PassingEnsemble: Ensemble {
    /// The ensemble that does the rest.
    var whole: any Ensemble { get }
}

extension PassingEnsemble {
    package var rank: Int { whole.rank }
    package var size: Int { whole.size }
    package var sharesNode: Bool { whole.sharesNode }
    package var node: Int { whole.node }
    package var computeThreads: Int { whole.computeThreads }
    package func split(color: Int) throws -> any Ensemble { try whole.split(color: color) }
    package func barrier() throws { try whole.barrier() }
    package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
        try whole.broadcast(bytes, root: root)
    }
    package func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws { try whole.allReduceSum(values) }
    package func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws { try whole.allReduceSum(values) }
    package func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws { try whole.allReduceMax(values) }
    package func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws { try whole.allGather(own, counts: counts, into: into) }
    package func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws { try whole.reduceScatterSum(send, counts: counts, into: into) }
    package func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        try whole.rotate(own, into: into)
    }
    package func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        try whole.beginAllReduceSum(values)
    }
    package func finishAllReduces() throws { try whole.finishAllReduces() }
    package func abort(code: Int32, message: String) -> Never { whole.abort(code: code, message: message) }
}
