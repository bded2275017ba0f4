// Texts without their repetitions, so that each is encoded once and equal texts have equal embeddings to the last bit.
//
// Texts are told apart by their bytes: Swift's String equality joins canonically equivalent spellings, which tokenizers
// may keep apart.

/// The distinct texts of a list and where each element of the list went.
package struct UniqueTexts: Sendable {
    /// The distinct texts in the order of their first appearance.
    package private(set) var texts: [String] = []
    /// For each element of the list, its place in `texts`.
    package private(set) var places: [Int] = []

    /// Collects the distinct texts of `list`.
    package init(_ list: [String]) {
        var known: [ByteKey: Int] = [:]
        places.reserveCapacity(list.count)
        for text in list {
            let key = ByteKey(text)
            if let place = known[key] {
                places.append(place)
            } else {
                known[key] = texts.count
                places.append(texts.count)
                texts.append(text)
            }
        }
    }
}

/// A string that is equal and ordered byte by byte in UTF-8, which is also the order of code points.
package struct ByteKey: Hashable, Comparable {
    /// The string.
    package let text: String

    /// `text` by its bytes.
    package init(_ text: String) { self.text = text }

    package static func == (a: ByteKey, b: ByteKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    package static func < (a: ByteKey, b: ByteKey) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
