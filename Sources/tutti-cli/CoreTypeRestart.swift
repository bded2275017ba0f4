// Restarts the command with the OpenBLAS kernels that fit the processor.
//
// OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, before `main`. If it chose slower kernels than the processor
// supports and has better ones, the process replaces itself (execve: same pid, arguments, descriptors and signal mask)
// with the variable set. A second variable marks that this was done: it prevents a loop if the library ignores it, and
// both are removed from the environment again, so that ranks on other machines do not inherit them. A value set by the
// user is kept.

import Foundation
import TuttiKernels

enum CoreTypeRestart {
    /// Holds the requested core type, in a restarted process.
    private static let marker = "TUTTI_CORETYPE_SET"

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

    /// Restarts the process if that makes OpenBLAS faster. Call this first, while there is only one thread.
    static func applyOnce() {
        if let type = getenv(marker) {
            chosen = String(cString: type)
            unsetenv(marker)
            unsetenv("OPENBLAS_CORETYPE")
            return
        }
        let core = CoreType.current
        guard !CoreType.isOverridden, core.isSettable, let better = core.better else { return }
        setenv("OPENBLAS_CORETYPE", better, 1)
        setenv(marker, better, 1)
        // The resolved path keeps the process's name; the link itself works if the file has moved.
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        if readlink("/proc/self/exe", &path, Int(PATH_MAX)) > 0 { execv(path, CommandLine.unsafeArgv) }
        execv("/proc/self/exe", CommandLine.unsafeArgv)
        unsetenv(marker)  // execve failed: continue with these kernels; CoreType.warning reports it
        unsetenv("OPENBLAS_CORETYPE")
    }
}
