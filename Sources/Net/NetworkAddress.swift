// NetworkAddress: an address and port of the Internet protocol, and those under which this host can be reached.
//
// IPv4 addresses are kept in their IPv6 form (::ffff:a.b.c.d), so that one type and one socket serve both.

import Glibc

/// An IPv4 or IPv6 address with a port.
package struct NetworkAddress: Sendable, Equatable, CustomStringConvertible {
    /// The address as text: "10.0.0.2", "2001:db8::2".
    package let text: String
    /// The port.
    package let port: UInt16
    private let isVersion4: Bool
    private let network: SIMD16<UInt8>  // in network order

    /// An address from its text; nil if it is neither IPv4 nor IPv6.
    package init?(_ text: String, port: UInt16) {
        var bytes = SIMD16<UInt8>()
        isVersion4 = !text.contains(":")
        let form = isVersion4 ? "::ffff:\(text)" : text
        let parsed = withUnsafeMutableBytes(of: &bytes) { inet_pton(AF_INET6, form, $0.baseAddress) }
        guard parsed == 1 else { return nil }
        (self.text, self.port, network) = (text, port, bytes)
    }

    /// The address as text, with its port.
    package var description: String { isVersion4 ? "\(text):\(port)" : "[\(text)]:\(port)" }

    /// Calls `body` with the system's form for sockets of `family`; nil if such a socket cannot reach it.
    func withSystemForm<Result>(
        family: Int32, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var own = network
        if family == AF_INET {
            guard isVersion4 else { return nil }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            withUnsafeBytes(of: &own) { bytes in
                withUnsafeMutableBytes(of: &address.sin_addr) {
                    $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[12...]))
                }
            }
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        withUnsafeBytes(of: &own) { bytes in
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyMemory(from: bytes) }
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }

    /// The addresses of this host that other hosts may reach, IPv4 first; those that need the name of an interface are
    /// left out. The loopback's is the last.
    package static func ownTexts() -> [String] {
        let all = HostAddress.all()
        let version6 = all.filter { !$0.isVersion4 && !$0.text.lowercased().hasPrefix("fe80") }
        return all.filter(\.isVersion4).map(\.text) + version6.map(\.text) + ["127.0.0.1"]
    }
}
