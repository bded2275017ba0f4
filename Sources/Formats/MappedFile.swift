// A file's bytes, memory-mapped: pages are loaded on access and shared by all ranks of a node. The mapping is private
// and read-only and lives as long as the object; keep the object while `bytes` is in use.

import Foundation
import TuttiGround

/// A read-only memory-mapped file.
public final class MappedFile: Sendable {
    /// The path as given.
    public let path: String
    /// The file's contents; valid as long as this object.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    /// False for bytes that are in memory only.
    private let isMapped: Bool

    /// Maps the file at `path`.
    ///
    /// Throws: `.missingFile` if there is none, `.data` if it is not a regular file or cannot be read.
    public init(path: String) throws(TuttiError) {
        self.path = path
        isMapped = true
        // Without O_NONBLOCK, opening a pipe without a writer would block forever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw MappedFile.cannotOpen(path, code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw MappedFile.cannotOpen(path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            let what = isFolder ? "is a directory, not a file" : "is a pipe or a device, not a regular file"
            throw TuttiError(.data, "open file", path, what)
        }
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw MappedFile.cannotOpen(path, code: errno)
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    /// `count` bytes in memory that `write` makes of the file at `path`.
    ///
    /// Throws: `.retryable` if there is not enough memory.
    init(copyOf path: String, count: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void) throws(TuttiError) {
        self.path = path
        isMapped = false
        let protection = PROT_READ | PROT_WRITE
        guard let address = mmap(nil, max(1, count), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            address != MAP_FAILED
        else {
            throw TuttiError(.retryable, "read file", path, "there is no memory for \(count) bytes")
        }
        write(UnsafeMutableRawBufferPointer(start: address, count: count))
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    /// A copy of `bytes` as the content of a file called `path`.
    ///
    /// Throws: `.retryable` if there is not enough memory.
    package static func inMemory(path: String, bytes: [UInt8]) throws(TuttiError) -> MappedFile {
        try MappedFile(copyOf: path, count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// Bytes of mapped memory that `path` unpacks to; the object gives them back.
    init(path: String, owning bytes: UnsafeRawBufferPointer) {
        self.path = path
        self.bytes = bytes
        isMapped = false
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), max(1, bytes.count)) }
    }

    /// Releases the memory of the pages of a file read so far; they are loaded again on access.
    public func releasePages() {
        guard isMapped, let address = bytes.baseAddress else { return }
        madvise(UnsafeMutableRawPointer(mutating: address), bytes.count, MADV_DONTNEED)
    }

    private static func cannotOpen(_ path: String, code: Int32) -> TuttiError {
        switch code {
        case ENOENT, ENOTDIR:
            return TuttiError(.missingFile, "open file", path, "no such file", hint: "Check the path.")
        case EACCES, EPERM:
            return TuttiError(.data, "open file", path, "permission denied", hint: "Check the file's permissions.")
        case ENXIO:
            return TuttiError(.data, "open file", path, "is a socket or a device, not a regular file")
        default:
            return TuttiError(.retryable, "open file", path, "cannot be opened: \(systemMessage(code))")
        }
    }
}

/// The operating system's message for an error number.
func systemMessage(_ code: Int32) -> String { String(cString: strerror(code)) }

extension MappedFile {
    /// A copy of the file's bytes: safe after the file object is released.
    public var contents: [UInt8] { withExtendedLifetime(self) { Array(bytes) } }

    /// The file as text; bytes that are not UTF-8 become U+FFFD.
    public var text: String { withExtendedLifetime(self) { String(decoding: bytes, as: UTF8.self) } }
}
