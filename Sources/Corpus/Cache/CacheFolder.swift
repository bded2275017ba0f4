// The folder of caches, and its entries: folders with a header, each made by one process at a time, and whole or not there.
//
// An entry's name is the digest of all that decides its content, so that an entry never changes. Who finds none takes the
// entry's lock, looks again, and makes it: in a folder with another name, which is renamed when it is whole. A maker that
// was killed leaves that folder, which the next one deletes, and a lock, which the next one takes over.

import Foundation
import TuttiFormats
import TuttiGround

/// The folder of caches.
package struct CacheFolder: Sendable {
    /// Its path.
    package let path: String

    /// How long a process waits for another that makes an entry.
    private static let patience = 24 * 3600.0

    /// The folder `given`, or $TUTTI_CACHE/tokens, or ~/.cache/tutti/tokens.
    package init(_ given: String? = nil) {
        if let given {
            path = given
        } else if let root = ProcessInfo.processInfo.environment["TUTTI_CACHE"], !root.isEmpty {
            path = root + "/tokens"
        } else {
            path = FileManager.default.homeDirectoryForCurrentUser.path + "/.cache/tutti/tokens"
        }
    }

    /// Where the entry `name` is.
    package func entry(_ name: String) -> String { path + "/" + name }

    /// Takes the lock of the entry `name`, waiting for another process that makes it.
    ///
    /// - Parameter waiting: gets one line if one does.
    /// - Throws: `.retryable` if files cannot be created in the folder.
    package func lock(_ name: String, waiting: (String) -> Void) throws(TuttiError) -> FolderLock {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(
                .retryable, "make the cache", path, error.localizedDescription,
                hint: "Choose another args.token_cache_dir, or args.token_cache: never.")
        }
        var times = FolderLock.Times()
        times.patience = CacheFolder.patience
        return try FolderLock(
            path: entry(name) + ".lock", purpose: "making the cache", setting: "token_cache_dir",
            what: "the cache of these data", times: times, waiting: waiting, onLoss: {})
    }

    /// Whether a whole entry is there, as `open` finds; of a damaged one `notice` gets a line.
    ///
    /// - Throws: what `open` throws of an entry of a newer format.
    package static func isWhole(
        _ notice: (String) -> Void, _ open: () throws(TuttiError) -> Void
    ) throws(TuttiError) -> Bool {
        do throws(TuttiError) {
            try open()
            return true
        } catch {
            if error.problem.hasPrefix(newerFormat) { throw error }
            if error.kind == .data { notice("\(error.subject) \(error.problem): the cache is made again.") }
            return false
        }
    }

    // MARK: Headers

    /// How the error of an entry that a newer version made begins.
    private static let newerFormat = "is of a newer format"

    /// Writes a header with its format and digest.
    ///
    /// Throws: `.retryable` with the system's reason.
    package static func write(_ members: JSONObject, to file: String, format: Int) throws(TuttiError) {
        var object = members
        object["format"] = .integer(Int64(format))
        object["tutti_version"] = .string(tuttiVersion)
        seal(&object)
        try AtomicWrite.file(path: file, text: JSONValue.object(object).serialized(indent: 2) + "\n")
    }

    /// The members of the header `file`.
    ///
    /// Throws: `.missingFile`; `.data` if it is damaged, or of a newer format than `format`.
    package static func header(_ file: String, format: Int) throws(TuttiError) -> JSONValue {
        let found = try JSONValue.parse(file: file)
        guard let object = found.object, sealIsWhole(object) else { throw damaged(file) }
        guard let number = object["format"]?.int, number <= format else {
            throw TuttiError(
                .data, "read the cache", file, "\(newerFormat) than this version (\(tuttiVersion)) reads",
                hint: "Use the newer version, or another args.token_cache_dir.")
        }
        return found
    }

    /// The error for a damaged entry.
    package static func damaged(_ file: String) -> TuttiError {
        TuttiError(
            .data, "read the cache", file, "is damaged", hint: "Delete its folder; the next run makes it again.")
    }

    /// The extent of a file in a header.
    package static func extent(_ json: JSONValue, _ file: String) throws(TuttiError) -> CheckedFile.Extent {
        guard let bytes = json["bytes"]?.int, let sum = json["sum"]?.string.flatMap({ UInt64($0, radix: 16) }) else {
            throw damaged(file)
        }
        return CheckedFile.Extent(bytes: bytes, sum: sum)
    }

    /// The same, as a header has it.
    package static func json(_ extent: CheckedFile.Extent, file: String) -> JSONValue {
        .object([
            "name": .string(file), "bytes": .integer(Int64(extent.bytes)),
            "sum": .string(String(extent.sum, radix: 16)),
        ])
    }
}
