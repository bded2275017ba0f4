// Limits of the address space (`ulimit -v`), which batch systems set for a job's memory.
//
// OpenBLAS takes 128 MiB of addresses for every thread that multiplies, those of its own pool as soon as it is loaded, and asks
// again forever where they are refused. So it is left out where there is a limit.

import COpenBLAS
import Foundation

/// The address space of this process.
package enum AddressSpace {
    /// Its limit in bytes; nil = none.
    private static let limit: Int? = {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return nil
        }
        return Int(clamping: limit.rlim_cur)
    }()

    /// Whether it has a limit.
    package static var isLimited: Bool { limit != nil }

    /// Megabytes that the limit leaves; nil where there is none.
    package static var freeMegabytes: Int? {
        guard let limit, let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = text.split(separator: " ").first.flatMap({ Int($0) })
        else { return nil }
        return max(0, limit - pages * Int(sysconf(Int32(_SC_PAGESIZE)))) >> 20
    }

    /// Whether OpenBLAS has begun threads of its own, which a limit may keep asking for addresses.
    package static var holdsThreadsOfOpenBLAS: Bool { openblas_get_num_threads() > 1 }
}
