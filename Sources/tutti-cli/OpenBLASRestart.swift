// Restarts the command with the OpenBLAS kernels that fit the processor, or without OpenBLAS's own threads.
//
// OpenBLAS reads OPENBLAS_CORETYPE and OPENBLAS_NUM_THREADS when it is loaded, before `main`. If it chose slower kernels than
// the processor supports and has better ones, the process replaces itself (execve: same pid, arguments, descriptors and signal
// mask) with the first set. Under a limit of the address space it does so with the second, as the library is not used there
// (Kernels/AddressSpace.swift) and its threads may ask for addresses forever. Another variable marks that this was done: it prevents a loop if
// the library ignores it, and all are removed from the environment again, so that ranks on other machines do not inherit
// them. A core type set by the user is kept.

import Foundation
import TuttiKernels

enum OpenBLASRestart {
    /// Holds the requested core type, in a restarted process.
    private static let marker = "TUTTI_CORETYPE_SET"
    /// Holds the user's number of OpenBLAS's threads, or nothing, in a process that was restarted without them.
    private static let threadsMarker = "TUTTI_BLAS_THREADS_SET"

    /// The core type that this process was restarted for; nil if it was not.
    nonisolated(unsafe) private(set) static var chosen: String?

    /// The notice before a run.
    static var note: String? {
        guard let chosen else { return nil }
        let now = CoreType.current
        guard now.better != nil else {
            return "OpenBLAS does not know this processor: Tutti made it use its \(now.name) kernels."
        }
        return "OpenBLAS ignored OPENBLAS_CORETYPE=\(chosen) and uses its \(now.name) kernels."
    }

    /// Restarts the process if that makes OpenBLAS faster, or stops its threads. Call this first, while there is only one
    /// thread of our own.
    static func applyOnce() {
        if let threads = getenv(threadsMarker) {
            restore("OPENBLAS_NUM_THREADS", String(cString: threads))
            unsetenv(threadsMarker)
            return
        }
        if let type = getenv(marker) {
            chosen = String(cString: type)
            unsetenv(marker)
            unsetenv("OPENBLAS_CORETYPE")
            return
        }
        if AddressSpace.isLimited {
            guard AddressSpace.holdsThreadsOfOpenBLAS else { return }
            let threads = getenv("OPENBLAS_NUM_THREADS").map { String(cString: $0) } ?? ""
            setenv(threadsMarker, threads, 1)
            setenv("OPENBLAS_NUM_THREADS", "1", 1)
            restart()
            restore("OPENBLAS_NUM_THREADS", threads)
            unsetenv(threadsMarker)
            return
        }
        let core = CoreType.current
        guard !CoreType.isOverridden, core.isSettable, let better = core.better else { return }
        setenv("OPENBLAS_CORETYPE", better, 1)
        setenv(marker, better, 1)
        restart()
        unsetenv(marker)  // execve failed: continue with these kernels; CoreType.warning reports it
        unsetenv("OPENBLAS_CORETYPE")
    }

    /// Returns only if the process could not be replaced.
    private static func restart() {
        // The resolved path keeps the process's name; the link itself works if the file has moved.
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        if readlink("/proc/self/exe", &path, Int(PATH_MAX)) > 0 { execv(path, CommandLine.unsafeArgv) }
        execv("/proc/self/exe", CommandLine.unsafeArgv)
    }

    private static func restore(_ variable: String, _ value: String) {
        if value.isEmpty { unsetenv(variable) } else { setenv(variable, value, 1) }
    }
}
