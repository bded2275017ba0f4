// Folders that tests write into, gone afterwards.

import Foundation

/// Runs `body` with the path of a fresh empty directory and removes it afterwards, whatever happens.
package func withTemporaryDirectory<T>(_ body: (String) throws -> T) throws -> T {
    let directory = try TemporaryDirectory()
    return try withExtendedLifetime(directory) { try body(directory.path) }
}

/// A fresh empty folder, removed with everything in it when the object goes away.
package final class TemporaryDirectory {
    /// Its path.
    package let path: String

    /// Makes the folder.
    package init() throws {
        path = NSTemporaryDirectory() + "/tutti-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
