// Folders that tests write into, gone afterwards.

import Foundation

/// Runs `body` with the path of a fresh empty directory and removes it afterwards, whatever happens.
public func withTemporaryDirectory<T>(_ body: (String) throws -> T) throws -> T {
    let path = NSTemporaryDirectory() + "/tutti-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}
