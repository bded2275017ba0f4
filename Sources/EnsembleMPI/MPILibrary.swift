// The MPI library that this program is linked to, which can be asked before MPI starts.

import CTuttiMPI

/// The MPI library.
package enum MPILibrary {
    /// Its name and version: "Open MPI v4.1.4".
    package static var version: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress else { return "" }
            tutti_mpi_version(start, Int32(buffer.count))
            let text = String(cString: start)
            return String(text.prefix { $0 != "," && $0 != "\n" })
        }
    }
}
