// Leftovers of a killed mpirun: 4 MB of shared memory per rank and a session folder. The next start removes them:
// folders with Open MPI's names, of this host and user, whose processes are all dead, and the shared memory of those
// sessions. Nothing else is touched, and no link is followed.
//
// Names of Open MPI 4.1: TMPDIR/ompi.HOST.USER/pid.P (or jf.F of a remote daemon), in it contact.txt with the number of
// the job and pmix_dstor_*_P of each server process; /dev/shm/vader_segment.HOST.USER.JOB.RANK, JOB in hexadecimal. The
// upper 16 bits of a job number are its family, one for each mpirun.

import Foundation
import TuttiGround

/// Finds and removes what dead jobs of this user left on this host.
package struct Leftovers {
    private let host: String
    private let user: uid_t
    private let temporary: [String]
    private let sharedMemory: String
    private let isAlive: (pid_t) -> Bool

    /// What is removed, and the bytes of shared memory that this frees.
    package struct Cleared: Equatable, Sendable {
        package var folders = 0
        package var bytes = 0
    }

    /// Looks for what `user` left on `host`.
    package init(
        host: String, user: uid_t, temporary: [String], sharedMemory: String = "/dev/shm",
        isAlive: @escaping (pid_t) -> Bool = { kill($0, 0) == 0 || errno != ESRCH }
    ) {
        self.host = host
        self.user = user
        self.temporary = temporary
        self.sharedMemory = sharedMemory
        self.isAlive = isAlive
    }

    /// Of this user on this host.
    package static func own(_ environment: [String: String]) -> Leftovers {
        let folders = ["TMPDIR", "TEMP", "TMP"].compactMap { environment[$0] }.filter { !$0.isEmpty } + ["/tmp"]
        return Leftovers(host: Machine.hostName, user: geteuid(), temporary: folders)
    }

    /// Removes dead sessions; what cannot be removed stays.
    package func clear() -> Cleared {
        var cleared = Cleared()
        var (dead, living): (Set<Int>, Set<Int>) = ([], [])
        for folder in Set(temporary) {
            // Open MPI strips the domain from the host name.
            let sessions = folder + "/ompi.\(shortHost).\(user)"
            guard isOwn(sessions, S_IFDIR) else { continue }
            for name in names(in: sessions) {
                let session = sessions + "/" + name
                guard isOwn(session, S_IFDIR), let owners = owners(of: session, named: name) else { continue }
                let families = families(of: session, named: name)
                if owners.contains(where: isAlive) {
                    living.formUnion(families)
                } else if remove(session) {
                    dead.formUnion(families)
                    cleared.folders += 1
                }
            }
            rmdir(sessions)  // succeeds only if empty
        }
        let prefix = "vader_segment.\(shortHost).\(user)."
        for name in names(in: sharedMemory) where name.hasPrefix(prefix) {
            let parts = name.dropFirst(prefix.count).split(separator: ".", omittingEmptySubsequences: false)
            let path = sharedMemory + "/" + name
            guard parts.count == 2, let job = Int(parts[0], radix: 16), Int(parts[1]) != nil,
                dead.contains(job >> 16), !living.contains(job >> 16), isOwn(path, S_IFREG)
            else { continue }
            let size = information(path).map { Int($0.st_blocks) * 512 } ?? 0
            if unlink(path) == 0 { cleared.bytes += size }
        }
        return cleared
    }

    private var shortHost: Substring { host.prefix { $0 != "." } }

    /// The processes of a session; nil if it is not a session or does not list them.
    private func owners(of session: String, named name: String) -> [pid_t]? {
        var owners = names(in: session).filter { $0.hasPrefix("pmix_dstor_") }
            .compactMap { $0.split(separator: "_").last.flatMap { pid_t($0) } }
        if name.hasPrefix("pid."), let process = pid_t(name.dropFirst(4)) {
            owners.append(process)
        } else if !name.hasPrefix("jf.") {
            return nil
        }
        return owners.isEmpty ? nil : owners
    }

    /// The job families of a session.
    private func families(of session: String, named name: String) -> [Int] {
        if name.hasPrefix("jf."), let family = Int(name.dropFirst(3)) { return [family] }
        let contact = SystemFile.text(session + "/contact.txt") ?? ""
        return Int(contact.prefix(while: \.isNumber)).map { [$0 >> 16] } ?? []
    }

    /// Removes a folder with its contents; false if some of it stays.
    private func remove(_ folder: String) -> Bool {
        do {
            try FileManager.default.removeItem(atPath: folder)
            return true
        } catch {
            return false
        }
    }

    /// The names in a folder; empty if it is missing or not readable.
    private func names(in folder: String) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            return []
        }
    }

    private func information(_ path: String) -> stat? {
        var information = stat()
        return lstat(path, &information) == 0 ? information : nil
    }

    private func isOwn(_ path: String, _ kind: mode_t) -> Bool {
        information(path).map { $0.st_uid == user && $0.st_mode & S_IFMT == kind } ?? false
    }
}
