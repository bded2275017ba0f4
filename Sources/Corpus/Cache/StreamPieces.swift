// A source that can be read once, such as a pipe, in pieces of whole rows: JSON lines, lines of text, separated values.
//
// Where a row ends in separated values follows from the same rules as in CSVParser: a line end outside of a field that
// began with a quote.

import Foundation
import TuttiFormats
import TuttiGround

/// The bytes of a pipe, in pieces that end where rows end.
struct StreamPieces {
    /// What rows are written in.
    enum Form {
        /// A row a line.
        case lines
        /// Separated values.
        case separated(by: UInt8, quote: UInt8?)
    }

    private enum State { case fieldStart, plain, quoted, quoteInQuoted }

    private let path: String
    private let form: Form
    private let descriptor: Int32
    private var pending: [UInt8] = []
    /// How far `pending` was looked at, in which state that ended, and where its last row ended.
    private var (seen, state, rowEnd) = (0, State.fieldStart, 0)
    private var hasEnded = false

    /// Bytes that are read at a time.
    private static let stretch = 1 << 20

    /// Whether the file at `path` can be read once only.
    static func isOnce(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        return [S_IFIFO, S_IFCHR, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    /// Opens the source; waits until somebody writes to a pipe.
    ///
    /// Throws: `.data` if it cannot be opened.
    init(path: String, form: Form) throws(TuttiError) {
        self.path = path
        self.form = form
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw TuttiError(.data, "read the stream", path, "cannot be opened: \(String(cString: strerror(errno)))")
        }
    }

    /// Does not read any more.
    func close() { Foundation.close(descriptor) }

    /// The next whole rows; nil at the end.
    ///
    /// Throws: `.data` if reading fails.
    mutating func next() throws(TuttiError) -> [UInt8]? {
        while true {
            look()
            if rowEnd > 0 {
                let piece = Array(pending[..<rowEnd])
                pending.removeFirst(rowEnd)
                (seen, rowEnd) = (seen - rowEnd, 0)
                return piece
            }
            if hasEnded {
                guard !pending.isEmpty else { return nil }
                defer { (pending, seen) = ([], 0) }
                return pending
            }
            try readMore()
        }
    }

    private mutating func readMore() throws(TuttiError) {
        let (start, descriptor) = (pending.count, descriptor)
        pending.append(contentsOf: [UInt8](repeating: 0, count: StreamPieces.stretch))
        let count = pending.withUnsafeMutableBytes { bytes -> Int in
            while true {
                let count = read(descriptor, bytes.baseAddress.map { $0 + start }, StreamPieces.stretch)
                if count >= 0 || errno != EINTR { return count }
            }
        }
        pending.removeLast(StreamPieces.stretch - max(0, count))
        guard count >= 0 else {
            throw TuttiError(.data, "read the stream", path, "cannot be read: \(String(cString: strerror(errno)))")
        }
        hasEnded = count == 0
    }

    /// Looks for the ends of rows in what was read since.
    private mutating func look() {
        for place in seen..<pending.count {
            let byte = pending[place]
            switch form {
            case .lines:
                if byte == 0x0A { rowEnd = place + 1 }
            case .separated(let delimiter, let quote):
                step(byte, place, delimiter, quote)
            }
        }
        seen = pending.count
    }

    private mutating func step(_ byte: UInt8, _ place: Int, _ delimiter: UInt8, _ quote: UInt8?) {
        switch state {
        case .quoted: if byte == quote { state = .quoteInQuoted }
        case .quoteInQuoted where byte == quote: state = .quoted
        case .fieldStart where byte == quote: state = .quoted
        case .fieldStart, .plain, .quoteInQuoted:
            let isLineEnd = byte == 0x0A || byte == 0x0D
            if isLineEnd { rowEnd = place + 1 }
            state = isLineEnd || byte == delimiter ? .fieldStart : .plain
        }
    }
}
