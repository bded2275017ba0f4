// Memory of this process as the kernel counts it.

import Foundation

/// What /proc/self/status says; 0 where there is no such file.
enum ProcessMemory {
    /// The largest resident memory so far, in bytes.
    static var peakResident: Int { field("VmHWM:") }

    /// The resident memory now, in bytes.
    static var resident: Int { field("VmRSS:") }

    private static func field(_ name: String) -> Int {
        guard let bytes = FileManager.default.contents(atPath: "/proc/self/status") else { return 0 }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            let words = line.split(whereSeparator: \.isWhitespace)
            return words.count > 1 ? (Int(words[1]) ?? 0) << 10 : 0
        }
        return 0
    }
}
