// JobGuard: ends mpirun where this process was killed and mpirun does not end by itself: it, or a daemon that it waits for,
// has been stopped. Then nobody else would.

import CTuttiLaunch
import Glibc

/// The guard of one job.
struct JobGuard {
    private let descriptor: Int32
    private let process: pid_t

    /// Guards `job`; nil if the system refuses another process, which the job can do without.
    init?(_ job: pid_t) {
        var process: pid_t = 0
        descriptor = tutti_guard(job, &process)
        guard descriptor >= 0 else { return nil }
        self.process = process
    }

    /// The job has ended.
    func end() {
        kill(process, SIGKILL)
        while waitpid(process, nil, 0) < 0, errno == EINTR {}
        close(descriptor)
    }
}
