// The times of the locks on output folders: an option for tests, which would take minutes.

import ArgumentParser
import TuttiFormats
import TuttiGround

/// The times of a lock on an output folder.
struct LockOptions: ParsableArguments {
    /// Seconds of its heartbeat, until it is stale, and to wait.
    @Option(help: .hidden)
    var lockTimes: String?

    /// The usual ones, or those of the option.
    var times: FolderLock.Times {
        get throws(TuttiError) {
            var times = FolderLock.Times()
            guard let lockTimes else { return times }
            let numbers = lockTimes.split(separator: ",").compactMap { Double($0) }
            guard numbers.count == 3, numbers.allSatisfy({ $0 > 0 }) else {
                throw TuttiError(.usage, "read the command line", "--lock-times", "expected three numbers of seconds")
            }
            (times.beat, times.stale, times.patience) = (numbers[0], numbers[1], numbers[2])
            return times
        }
    }
}
