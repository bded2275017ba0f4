// A disk that is full from some size of a file on.

import Foundation

/// Runs `body` while no file may grow beyond `limit` bytes: a write fails, and no signal comes. Tests that use it do not
/// run beside others.
package func withFileSizeLimit<Result>(_ limit: UInt, _ body: () throws -> Result) rethrows -> Result {
    let size = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    var before = rlimit()
    precondition(getrlimit(size, &before) == 0, "withFileSizeLimit: the limit cannot be read")
    var small = rlimit(rlim_cur: limit, rlim_max: before.rlim_max)
    let previous = signal(SIGXFSZ, SIG_IGN)
    precondition(setrlimit(size, &small) == 0, "withFileSizeLimit: the limit cannot be set")
    defer {
        setrlimit(size, &before)
        signal(SIGXFSZ, previous)
    }
    return try body()
}
