// Arena, Matrix, Parallel, casts and top-k.

import Foundation
import Synchronization
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized) struct MemoryAndThreadTests {
    @Test func arenaAlignsGrowsOnceAndThenStays() {
        var arena = Arena()
        func step(_ arena: inout Arena) -> [UInt] {
            arena.reset()
            var places: [UInt] = []
            for count in [1, 1000, 700_000, 3, 2_000_000] {
                let floats = arena.floats(count)
                floats[0] = 1
                floats[count - 1] = 2
                places.append(UInt(bitPattern: floats))
            }
            return places
        }
        let first = step(&arena)
        #expect(first.allSatisfy { $0 % 64 == 0 })
        let second = step(&arena)
        let capacity = arena.capacity
        #expect(step(&arena) == second, "after the largest batch the same memory serves again")
        #expect(arena.capacity == capacity)
        // One block: every piece lies within the capacity of the first.
        #expect(second.allSatisfy { $0 - second[0] < UInt(capacity) })
    }

    @Test func arenaGrowsInPlaceAndZeroesWhatItHandsOutAgain() {
        var arena = Arena()
        let small = arena.floats(1000)
        small[999] = 5
        arena.reset()
        #expect(arena.floats(1000) == small && small[999] == 5, "a reset neither moves nor clears")
        arena.reset()
        for count in [1000, 3_000_000, 20_000_000] {  // partly handed out before, and new
            let zeros = arena.zeros(count)
            #expect((0..<count).allSatisfy { zeros[$0] == 0 })
            zeros.update(repeating: 1, count: count)
            arena.reset()
        }
        let own = arena.zeros(5)
        let behind = arena.floats(5)
        behind[0] = 7
        #expect(own[0] == 0 && arena.zeros(5)[4] == 0 && behind[0] == 7)
    }

    @Test func arenaHandsOutAlignedMemoryAgain() {
        var arena = Arena()
        let a = arena.floats(5_000_000)
        arena.reset()
        let b = arena.floats(5_000_000)
        #expect(a == b)
        b[4_999_999] = 2
        let matrix = arena.matrix(3, 5)
        #expect(matrix.rows == 3 && matrix.columns == 5 && matrix.stride == 5)
        #expect(UInt(bitPattern: arena.int32s(3)) % 64 == 0 && UInt(bitPattern: arena.uint64s(1)) % 64 == 0)
    }

    @Test func matrixViews() {
        let block = FloatBlock((0..<12).map(Float.init))
        let m = block.matrix(3, 4)
        #expect(m[1, 2] == 6 && m.rows(1..<3)[0, 0] == 4 && m.columns(1..<3)[2, 1] == 10)
        let part = m.columns(1..<3)
        #expect(!part.isContiguous && part.stride == 4)
        part.fill(0)
        #expect(block.values == [0, 0, 0, 3, 4, 0, 0, 7, 8, 0, 0, 11])
        let other = FloatBlock((0..<6).map { Float($0) + 100 })
        part.copy(from: other.matrix(3, 2))
        #expect(block.values == [0, 100, 101, 3, 4, 102, 103, 7, 8, 104, 105, 11])
    }

    @Test(arguments: [1, 2, 4]) func parallelCoversEveryIndexOnce(threads: Int) {
        withCompute(threads: threads) {
            #expect(Parallel.threads == threads)
            for (count, grain) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 64), (5, 100)] {
                let counts = UnsafeMutablePointer<Int32>.allocate(capacity: max(count, 1))
                counts.initialize(repeating: 0, count: max(count, 1))
                defer { counts.deallocate() }
                Parallel.forRangeWithWorker(count, grain: grain) { range, worker in
                    precondition(worker >= 0 && worker < threads)
                    for i in range { counts[i] += 1 }
                    // A call nested in a region that was split runs serially, on the same thread.
                    guard count > grain else { return }
                    let here = pthread_self()
                    Parallel.forRange(3, grain: 1) { _ in precondition(pthread_equal(here, pthread_self()) != 0) }
                }
                #expect((0..<count).allSatisfy { counts[$0] == 1 })
            }
        }
    }

    @Test func manyRegionsFromSeveralThreads() throws {
        let total = Atomic<Int>(0)
        let sums = try withCompute(threads: 2) {
            try withEvery(world: 1...3) { ensemble -> Int in
                var sum = 0
                for _ in 0..<200 {
                    let slots = UnsafeMutablePointer<Int>.allocate(capacity: 64)
                    defer { slots.deallocate() }
                    Parallel.forRange(64, grain: 4) { range in for i in range { slots[i] = i } }
                    for i in 0..<64 { sum += slots[i] }
                }
                return sum
            }
        }
        for (world, values) in sums { #expect(values == [Int](repeating: 200 * 2016, count: world)) }
        total.add(1, ordering: .relaxed)
    }

    @Test(arguments: [1, 3, 10, 60]) func topKOverBlocks(k: Int) {
        var random = TinyRandom(34)
        let (rows, columns) = (9, 101)
        // Few distinct values, so that ties are everywhere.
        var scores = random.integers(rows * columns, below: 13).map { Float($0) - 6 }
        scores[5] = .nan
        let block = FloatBlock(scores)
        let values = FloatBlock(count: rows * k)
        let indices = UnsafeMutablePointer<Int32>.allocate(capacity: rows * k)
        defer { indices.deallocate() }
        // Blocks in the wrong order on purpose: ties still go to the lower index.
        TopK.clear(values: values.pointer, indices: indices, rows: rows, k: k)
        for range in [40..<90, 0..<40, 90..<101] {
            TopK.merge(
                block.matrix(rows, columns).columns(range), first: range.lowerBound, values: values.pointer,
                indices: indices, k: k)
        }
        for r in 0..<rows {
            let row = Array(scores[r * columns..<(r + 1) * columns])
            let order = row.indices.filter { !row[$0].isNaN }
                .sorted { row[$0] != row[$1] ? row[$0] > row[$1] : $0 < $1 }
            for j in 0..<k {
                #expect(indices[r * k + j] == Int32(order[j]) && values.values0[r * k + j] == row[order[j]])
            }
        }
        TopK.clear(values: values.pointer, indices: indices, rows: 1, k: k)
        TopK.merge(FloatBlock([4]).matrix(1, 1), first: 7, values: values.pointer, indices: indices, k: k)
        #expect(indices[0] == 7 && (k == 1 || indices[1] == -1))
    }
}
