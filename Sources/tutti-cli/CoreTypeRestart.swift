// Starts the command again with the OpenBLAS kernels that the processor deserves.
//
// OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, before `main`. Where it chose kernels below what the processor can
// do and holds better ones, the process replaces itself (execve: same number, arguments, descriptors and signal mask)
// with the variable set. A second variable says that this was done: it ends the attempt if the library does not obey,
// and both are taken out of the environment again, so that ranks on other machines do not inherit them. A value that the
// user has set is left alone.

import Foundation
import TuttiKernels

enum CoreTypeRestart {
    /// Holds the type that was asked for, in a process that was started again.
    private static let marker = "TUTTI_CORETYPE_SET"

    /// The core type that this process was started again for; nil where it was not.
    nonisolated(unsafe) private(set) static var chosen: String?

    /// What to say of it before a run.
    static var note: String? {
        guard let chosen else { return nil }
        let now = CoreType.current
        guard now.better != nil else {
            return "OpenBLAS does not know this processor: Tutti made it use its \(now.name) kernels."
        }
        return "OpenBLAS did not take OPENBLAS_CORETYPE=\(chosen) and computes with its \(now.name) kernels."
    }

    /// Starts the process again if that makes OpenBLAS faster. Call it first of all, from the only thread.
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
        // The path, if it can be had, keeps the process's name; the link itself works where the file has moved.
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        if readlink("/proc/self/exe", &path, Int(PATH_MAX)) > 0 { execv(path, CommandLine.unsafeArgv) }
        execv("/proc/self/exe", CommandLine.unsafeArgv)
        unsetenv(marker)  // the system refuses: go on with the kernels there are; CoreType.warning tells
        unsetenv("OPENBLAS_CORETYPE")
    }
}
