// A SentencePiece model file (sentencepiece.bpe.model, spiece.model, tokenizer.model): pieces with scores, how they were
// trained, and the character map of the normalizer. Reference: sentencepiece/src/sentencepiece_model.proto.

import TuttiFormats
import TuttiGround

/// The contents of one SentencePiece model.
struct SentencePieceFile {
    /// What a piece stands for.
    enum Kind: UInt64 {
        case normal = 1, unknown, control, userDefined, unused, byte
    }

    /// One piece; its id is its place.
    struct Piece {
        var text = ""
        var score: Float = 0
        var kind = Kind.normal
    }

    /// How the pieces were chosen.
    enum Algorithm: UInt64 {
        case unigram = 1, bytePairs, word, character
    }

    private(set) var pieces: [Piece] = []
    private(set) var algorithm = Algorithm.unigram
    private(set) var hasByteFallback = false
    /// The ids that the file gives to the unknown token, to the begin and to the end of a text; -1 for none.
    private(set) var unknownId: Int32 = 0
    private(set) var beginId: Int32 = 1
    private(set) var endId: Int32 = 2
    private(set) var unknownPiece = "<unk>"
    private(set) var beginPiece = "<s>"
    private(set) var endPiece = "</s>"
    /// The precompiled character map; empty if there is none.
    private(set) var charsmap: [UInt8] = []

    /// Reads the file in `bytes`.
    ///
    /// Throws: `.data` naming file and byte for a file that is damaged, or has no pieces.
    init(_ bytes: [UInt8], path: String) throws(TuttiError) {
        var reader = ProtobufReader(bytes, source: path)
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else { continue }
            switch field {
            case 1: pieces.append(try SentencePieceFile.piece(reader.message(range), range.lowerBound))
            case 2: try readTrainer(reader.message(range), range.lowerBound)
            case 3: try readNormalizer(reader.message(range), bytes)
            default: continue
            }
        }
        guard !pieces.isEmpty else {
            throw TuttiError(
                .data, "read SentencePiece model", path, "has no pieces",
                hint: "Expected a model that sentencepiece wrote.")
        }
    }

    private static func piece(_ message: ProtobufReader, _ place: Int) throws(TuttiError) -> Piece {
        var message = message
        var piece = Piece()
        while let (field, value) = try message.next() {
            switch (field, value) {
            case (1, .bytes(let range)): piece.text = try message.text(range)
            case (2, .fixed32(let bits)):
                piece.score = Float(bitPattern: bits)
                guard piece.score.isFinite else { throw message.error(place, "the score of a piece is not finite") }
            case (3, .varint(let kind)):
                guard let known = Kind(rawValue: kind) else {
                    throw message.error(place, "a piece has the unknown type \(kind); known are 1 to 6")
                }
                piece.kind = known
            default: continue
            }
        }
        return piece
    }

    private mutating func readTrainer(_ message: ProtobufReader, _ place: Int) throws(TuttiError) {
        var message = message
        while let (field, value) = try message.next() {
            switch (field, value) {
            case (3, .varint(let type)):
                guard let known = Algorithm(rawValue: type) else {
                    throw message.error(place, "unknown model type \(type); known are 1 to 4")
                }
                algorithm = known
            case (35, .varint(let flag)): hasByteFallback = flag != 0
            case (40, .varint(let id)): unknownId = Int32(truncatingIfNeeded: id)
            case (41, .varint(let id)): beginId = Int32(truncatingIfNeeded: id)
            case (42, .varint(let id)): endId = Int32(truncatingIfNeeded: id)
            case (45, .bytes(let range)): unknownPiece = try message.text(range)
            case (46, .bytes(let range)): beginPiece = try message.text(range)
            case (47, .bytes(let range)): endPiece = try message.text(range)
            default: continue
            }
        }
    }

    private mutating func readNormalizer(_ message: ProtobufReader, _ bytes: [UInt8]) throws(TuttiError) {
        var message = message
        while let (field, value) = try message.next() {
            if case (2, .bytes(let range)) = (field, value) { charsmap = Array(bytes[range]) }
        }
    }
}
