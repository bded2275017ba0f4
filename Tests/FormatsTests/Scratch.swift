// What the tests of this module share: temporary folders, goldens, repeatable random numbers, errors as values.

import Foundation
import TestSupport
import TuttiFormats
import TuttiGround

/// A temporary folder that goes away with the object.
final class Scratch {
    private let folder: TemporaryDirectory
    var path: String { folder.path }

    init() throws { folder = try TemporaryDirectory() }

    func file(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func write(_ bytes: [UInt8], to name: String = "file") throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }
}

func bytes(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

func golden(_ name: String) -> String { Goldens.path("corpus-formats/" + name) }

/// The error that `body` throws, or nil.
func failure<Value>(_ body: () throws -> Value) -> TuttiError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? TuttiError
    }
}

/// SplitMix64, for mutations that are the same in every run.
struct Mutator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    /// `original` with a few bytes replaced, removed, doubled or cut off; `alphabet` is preferred for new bytes.
    mutating func mutate(_ original: [UInt8], alphabet: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &self)
            let new =
                Bool.random(using: &self)
                ? alphabet.randomElement(using: &self)! : UInt8.random(in: 0...255, using: &self)
            switch Int.random(in: 0..<5, using: &self) {
            case 0: bytes[place] = new
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(new, at: place)
            case 3: bytes.removeSubrange(place...)
            default:
                let end = min(bytes.count, place + Int.random(in: 1...12, using: &self))
                bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &self))
            }
        }
        return bytes
    }
}
