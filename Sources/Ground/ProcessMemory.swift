// Memory of this process, as counted by the kernel.

import Foundation

/// From /proc/self/status; 0 if there is no such file.
package enum ProcessMemory {
    /// Peak resident memory, in bytes.
    package static var peakResident: Int { field("VmHWM:") }

    /// Current resident memory, in bytes.
    package static var resident: Int { field("VmRSS:") }

    private static func field(_ name: String) -> Int {
        guard let bytes = FileManager.default.contents(atPath: "/proc/self/status") else { return 0 }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            let words = line.split(whereSeparator: \.isWhitespace)
            return words.count > 1 ? (Int(words[1]) ?? 0) << 10 : 0
        }
        return 0
    }
}
