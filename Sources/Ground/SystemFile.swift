// Files of /proc and /sys: their size is unknown until they are read.

import Foundation

/// Files of /proc and /sys, whose size is unknown until they are read.
package enum SystemFile {
    /// The text of a file, or nil if it cannot be read.
    package static func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// The bytes of a file, or nil if it cannot be read.
    package static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    /// The text of a file that must exist.
    package static func required(_ path: String) throws(TuttiError) -> String {
        guard let text = text(path) else {
            throw TuttiError(.missingFile, "read the machine", path, String(cString: strerror(errno)))
        }
        return text
    }

    /// The first word of a file.
    package static func word(_ path: String) -> String? {
        text(path)?.split(whereSeparator: \.isWhitespace).first.map(String.init)
    }

    /// The word after `name` on the line that starts with it.
    package static func field(_ name: String, of text: String) -> String? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.first.map(String.init) == name { return words.dropFirst().first.map(String.init) }
        }
        return nil
    }
}
