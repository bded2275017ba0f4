// Produces the next elements on its own thread while the caller works on the last one.
//
// The queue is bounded, the order is kept, and an error of the producing closure reaches the caller in order, after the
// elements before it. The thread retains only the queue, so releasing a prefetcher ends its thread.

import Foundation

/// A bounded queue that a background thread fills in order.
package final class Prefetcher<Element: Sendable>: Sendable {
    private let queue: PrefetchQueue<Element>

    /// Starts producing elements: `produce(0)`, `produce(1)`, ... until it returns nil or throws; at most `depth` wait.
    package init(
        depth: Int = 2, name: String = "tutti-prefetch", produce: @escaping @Sendable (Int) throws -> Element?
    ) {
        precondition(depth > 0, "Prefetcher: depth \(depth)")
        let queue = PrefetchQueue<Element>(depth: depth)
        self.queue = queue
        let thread = Thread {
            var index = 0
            while queue.waitForRoom() {
                do {
                    guard let element = try produce(index) else { return queue.end(nil) }
                    queue.append(element)
                } catch {
                    return queue.end(error)
                }
                index += 1
            }
        }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// The next element in order, or nil at the end; waits for it.
    ///
    /// Throws: the error of the producing closure, on this call and all later ones.
    package func next() throws -> Element? { try queue.take() }

    /// Stops producing elements; `next` then returns nil. An element in progress is discarded.
    package func cancel() { queue.cancel() }

    deinit { queue.cancel() }
}

/// The state shared by the two threads; every member is accessed only under the condition's lock.
private final class PrefetchQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private let depth: Int
    /// A ring buffer of `depth` slots, `count` of them used from `first`: taking an element does not allocate.
    private var places: [Element?]
    private var first = 0
    private var count = 0
    private var hasEnded = false
    private var isCancelled = false
    private var error: (any Error)?

    init(depth: Int) {
        self.depth = depth
        places = Array(repeating: nil, count: depth)
    }

    /// Waits until an element may be added; false after `cancel`.
    func waitForRoom() -> Bool {
        condition.withLock {
            while count >= depth, !isCancelled { condition.wait() }
            return !isCancelled
        }
    }

    func append(_ element: Element) {
        condition.withLock {
            if !isCancelled {
                places[(first + count) % depth] = element
                count += 1
            }
            condition.broadcast()
        }
    }

    func end(_ error: (any Error)?) {
        condition.withLock {
            hasEnded = true
            self.error = error
            condition.broadcast()
        }
    }

    func take() throws -> Element? {
        condition.lock()
        defer { condition.unlock() }
        while count == 0, !hasEnded, !isCancelled { condition.wait() }
        if isCancelled { return nil }
        if count == 0 {
            if let error { throw error }
            return nil
        }
        let element = places[first]
        places[first] = nil
        first = (first + 1) % depth
        count -= 1
        condition.broadcast()
        return element
    }

    func cancel() {
        condition.withLock {
            isCancelled = true
            for place in places.indices { places[place] = nil }
            count = 0
            condition.broadcast()
        }
    }
}
