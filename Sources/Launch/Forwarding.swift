// Forwarding: which variables of the launcher reach ranks on other hosts, where only mpirun's -x carries them.
//
// Settings of Tutti and of what it is built on go along by their prefixes. What describes the launcher's own process
// stays behind. Names that a shell cannot set are left out: mpirun would read past "=". Values are not copied here:
// `-x NAME` makes mpirun take them from its own environment, byte for byte.

/// Variables that are set for the launcher and meant for every rank.
package enum Forwarding {
    /// Settings of Tutti, the hub's client, BLAS, OpenMP, oneDNN, Swift, the C library's allocator and UCX.
    static let prefixes = [
        "TUTTI_", "HF_", "OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "SWIFT_", "MALLOC_",
        "GLIBC_", "UCX_",
    ]
    /// Single names: where programs, libraries and caches are. Not TMPDIR, which batch systems make for one host.
    static let names: Set = ["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_CACHE_HOME"]
    /// Of this process, not of the job.
    static let own: Set = ["TUTTI_MACHINE_ROOT", "TUTTI_TERMINAL", "TUTTI_CORETYPE_SET"]

    /// The names that are forwarded, sorted; those that `exported` (-x) sets are the user's.
    package static func names(of environment: [String: String], exported: [String]) -> [String] {
        let users = Set(exported.map { String($0.prefix { $0 != "=" }) })
        return environment.keys.filter { name in
            let isMeant = names.contains(name) || prefixes.contains { name.hasPrefix($0) }
            return isMeant && !own.contains(name) && !users.contains(name) && isName(name)
                && environment[name]?.isEmpty == false
        }.sorted()
    }

    /// Whether a name is one that shells can set.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.first.map { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } == true
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }
}
