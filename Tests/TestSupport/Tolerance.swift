// What "equal" means in tests: largest absolute difference, and the same relative to the tensor's largest number.

/// max |a - b|; infinite where the counts differ or a difference is not a number.
package func largestDifference<A: Sequence, B: Sequence>(_ a: A, _ b: B) -> Double
where A.Element: BinaryFloatingPoint, B.Element: BinaryFloatingPoint {
    var largest = 0.0
    var other = b.makeIterator()
    for x in a {
        guard let y = other.next() else { return .infinity }
        if Double(x) == Double(y) { continue }
        let difference = abs(Double(x) - Double(y))
        if difference.isNaN { return .infinity }
        largest = max(largest, difference)
    }
    return other.next() == nil ? largest : .infinity
}

/// max |a - b| / max(|b|inf, floor): the bound of a tensor against its reference b.
package func relativeDifference<A: Sequence, B: Sequence>(_ a: A, _ b: B, floor: Double = 1e-30) -> Double
where A.Element: BinaryFloatingPoint, B.Element: BinaryFloatingPoint {
    let size = b.reduce(floor) { max($0, abs(Double($1))) }
    return largestDifference(a, b) / size
}

/// |a - b|2 / |b|2, for weights after training.
package func distanceRatio<A: Sequence, B: Sequence>(_ a: A, _ b: B) -> Double
where A.Element: BinaryFloatingPoint, B.Element: BinaryFloatingPoint {
    var difference = 0.0
    var size = 0.0
    var count = (0, 0)
    for (x, y) in zip(a, b) {
        difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
        size += Double(y) * Double(y)
        count.0 += 1
    }
    count.1 = b.reduce(0) { count, _ in count + 1 }
    return count.0 == count.1 && size > 0 ? (difference / size).squareRoot() : .infinity
}
