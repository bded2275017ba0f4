// IncomingFile: the bytes of a download, kept from try to try, and checked before they count.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// A file of the cache that is being downloaded.
final class IncomingFile {
    private let place: String
    private let facts: HubFileFacts
    private let descriptor: Int32
    private var digest: ContentDigest
    private var isPlaced = false
    /// Bytes that have come, in this try and in earlier ones.
    private(set) var count = 0
    /// Why bytes could not be kept.
    private(set) var failure: TuttiError?

    /// Goes on with the file at `place`.
    ///
    /// Throws: `.retryable` where it cannot be opened.
    init(_ place: String, _ facts: HubFileFacts) throws(TuttiError) {
        self.place = place
        self.facts = facts
        digest = ContentDigest(etag: facts.etag, size: facts.size ?? 0)
        descriptor = open(place, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else { throw OutputFile.writeError(place, code: errno) }
        readBack()
    }

    deinit { close(descriptor) }

    /// Whether all bytes have come.
    var isWhole: Bool { facts.size == count }

    /// Starts from the first byte.
    func restart() {
        count = 0
        isPlaced = false
        digest = ContentDigest(etag: facts.etag, size: facts.size ?? 0)
        if ftruncate(descriptor, 0) != 0 { failure = OutputFile.writeError(place, code: errno) }
        lseek(descriptor, 0, SEEK_SET)
    }

    /// Adds bytes of an answer; false if they cannot be kept.
    func add(_ bytes: UnsafeRawBufferPointer, _ head: HTTPResponse) -> Bool {
        if !isPlaced {
            let goesOn = head.status == 206 && head.headers["Content-Range"]?.hasPrefix("bytes \(count)-") == true
            // The server ignored the range, and sends everything.
            if !goesOn { restart() }
            isPlaced = true
        }
        if let size = facts.size, count + bytes.count > size {
            failure = TuttiError(.data, "download", place, "more bytes come than the \(size) of the file")
            return false
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let written = write(descriptor, part.baseAddress, part.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                failure = OutputFile.writeError(place, code: errno)
                return false
            }
            rest = rest.dropFirst(written)
        }
        digest.update(bytes)
        count += bytes.count
        return true
    }

    /// Makes the contents the blob at `final`.
    ///
    /// Throws: `.data` for contents that are not what the hub named, which are deleted; `.retryable` where the
    /// disk fails.
    func finish(as final: String, path: String) throws(TuttiError) {
        // The size is part of git's digest, so an unknown one is counted first.
        if facts.size == nil {
            digest = ContentDigest(etag: facts.etag, size: count)
            readBack(isCounted: true)
        }
        if let found = digest.mismatch {
            unlink(place)
            throw TuttiError(
                .data, "download", path, "the digest of what came is \(found), where the hub names \(facts.etag)",
                hint: "The file was damaged on its way, by a proxy perhaps; try again.")
        }
        guard fsync(descriptor) == 0, rename(place, final) == 0 else {
            throw OutputFile.writeError(final, code: errno)
        }
    }

    /// Digests what is there, up to the file's size.
    private func readBack(isCounted: Bool = false) {
        if !isCounted {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return }
            count = Int(status.st_size)
            if count > facts.size ?? 0 { return restart() }
        }
        var (buffer, place) = ([UInt8](repeating: 0, count: 1 << 20), 0)
        while place < count {
            let read = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(place)) }
            guard read > 0 else { return restart() }
            buffer.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<read])) }
            place += read
        }
        lseek(descriptor, off_t(count), SEEK_SET)
    }
}
