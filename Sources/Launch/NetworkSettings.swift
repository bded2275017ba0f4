// NetworkSettings: Open MPI parameters for a job over several hosts.
//
// - Keepalive of the daemons' connections: a host or a link that is gone is noticed after some 11 s (5 s of silence, three
//   probes 2 s apart), where Open MPI's own 300 s + 9 x 20 s let the others wait for eight minutes.
// - Eager limits of TCP: a message of more than 64 KB is otherwise announced first, and the answer waits behind the data
//   of the other direction: the link works in one direction at a time. With 8 MB the exchange took 390 to 425 ms a step
//   instead of 704 to 716 (1 Gbit/s, two hosts; bound 375).
//
// The user's --mca and OMPI_MCA_ variables win, one by one.

/// Parameters that a job over several hosts is started with.
package enum NetworkSettings {
    /// The parameters by name.
    static let settings: [(key: String, value: String)] = [
        ("oob_tcp_keepalive_time", "5"), ("oob_tcp_keepalive_intvl", "2"), ("oob_tcp_keepalive_probes", "3"),
        ("btl_tcp_eager_limit", "8388608"), ("btl_tcp_rndv_eager_limit", "8388608"),
        ("btl_tcp_max_send_size", "8388608"),
    ]

    /// Those that neither `mca` nor the environment sets.
    static func settings(
        besides mca: [LaunchOptions.Setting], environment: [String: String], network: Mpirun.Network
    ) -> [LaunchOptions.Setting] {
        func isSet(_ key: String) -> Bool {
            mca.contains { $0.key == key } || environment["OMPI_MCA_" + key] != nil
        }
        var chosen = settings.filter { !isSet($0.key) }.map { LaunchOptions.Setting(key: $0.key, value: $0.value) }
        for layer in network.isForDaemons ? ["btl_tcp", "oob_tcp"] : ["btl_tcp"] {
            guard let interfaces = network.interfaces, !isSet(layer + "_if_include"), !isSet(layer + "_if_exclude")
            else { continue }
            chosen.append(LaunchOptions.Setting(key: layer + "_if_include", value: interfaces))
        }
        return chosen
    }
}
