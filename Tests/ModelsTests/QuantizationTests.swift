// Quantized embeddings against the reference's, byte for byte, and what cannot be quantized.

import TestSupport
import Foundation
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct QuantizationTests {
    private static let cases: [JSONValue] = {
        (try? JSONValue.parse(file: Goldens.path("evaluation/quantization.json")).array) ?? []
    }()

    @Test func bytesAreTheReferences() throws {
        #expect(Self.cases.map { $0["width"]?.int } == [1, 8, 11])
        for golden in Self.cases {
            let rows = Embeddings(
                rows: (golden["rows"]?.array ?? []).map { Float($0.double ?? .nan) },
                dimension: golden["width"]?.int ?? 0)
            for precision in EmbeddingPrecision.allCases where precision != .float32 {
                let wanted = (golden[precision.rawValue]?.array ?? []).compactMap(\.int)
                let quantized = try QuantizedEmbeddings(rows, precision)
                let found = quantized.bytes.map { precision.elementType == .i8 ? Int(Int8(bitPattern: $0)) : Int($0) }
                #expect(found == wanted, "\(precision) \(rows.dimension)")
                #expect(quantized.count == 7 && quantized.bytes.count == 7 * quantized.width)
                let unpacked = quantized.unpacked()
                if precision == .int8 || precision == .uint8 {
                    #expect(unpacked.flattened.map { Int($0) } == wanted)
                } else {
                    let bits = unpacked.truncated(to: rows.dimension).flattened
                    #expect(bits == rows.flattened.map { $0 > 0 ? 1 : 0 })
                    #expect(unpacked.flattened.reduce(0, +) == bits.reduce(0, +), "the padding is empty")
                }
            }
        }
    }

    @Test func whatHasNoRangeIsTold() throws {
        let one = Embeddings(rows: [1, -2, 0], dimension: 3)
        for precision in [EmbeddingPrecision.int8, .uint8] {
            do {
                _ = try QuantizedEmbeddings(one, precision)
                Issue.record("a range of one embedding")
            } catch { #expect(error.kind == .usage) }
        }
        #expect(try QuantizedEmbeddings(one, .ubinary).bytes == [0x80])
        #expect(try QuantizedEmbeddings(one, .binary).bytes == [0])
        #expect(try QuantizedEmbeddings(Embeddings(count: 0, dimension: 3), .int8).bytes.isEmpty)
        do {
            _ = try QuantizedEmbeddings(Embeddings(rows: [1, 0, .nan, 1], dimension: 2), .binary)
            Issue.record("NaN was quantized")
        } catch { #expect(error.kind == .data && error.subject == "row 2") }
    }
}
