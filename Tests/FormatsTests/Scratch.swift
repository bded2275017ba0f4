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
