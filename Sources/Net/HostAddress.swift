// HostAddress: the addresses of this host's interfaces, and what names of hosts resolve to here.

import Glibc

/// An address of an interface of this host.
package struct HostAddress: Sendable, Equatable {
    /// The interface: eth0.
    package let interface: String
    /// The address as text: "10.0.0.2", "2001:db8::2".
    package let text: String
    /// The bits of its network: 24; 0 where the system does not say.
    package let bits: Int
    /// Whether it is an IPv4 address.
    package var isVersion4: Bool { !text.contains(":") }

    /// Those of the interfaces that are up, in the system's order, without the loopback.
    package static func all() -> [HostAddress] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var found: [HostAddress] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ifa_next
            let isUp = entry.ifa_flags & UInt32(IFF_UP) != 0
            let isLoopback = entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0
            guard isUp, !isLoopback, let address = entry.ifa_addr, let text = text(of: address) else { continue }
            let bits = entry.ifa_netmask.map { self.bits(of: $0) } ?? 0
            found.append(HostAddress(interface: String(cString: entry.ifa_name), text: text, bits: bits))
        }
        return found
    }

    /// The IPv4 addresses of a host, which may be named as user@host; empty if it has none.
    package static func resolve(_ host: String) -> [String] {
        var hints = addrinfo()
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(String(host.split(separator: "@").last ?? ""), nil, &hints, &first) == 0 else { return [] }
        defer { freeaddrinfo(first) }
        var found: [String] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ai_next
            if let address = entry.ai_addr, let text = text(of: address), !found.contains(text) { found.append(text) }
        }
        return found
    }

    /// An IPv4 address "a.b.c.d" as a number; 0 if it is none.
    package static func number(of address: String) -> UInt32 {
        var parsed = in_addr()
        return inet_pton(AF_INET, address, &parsed) == 1 ? UInt32(bigEndian: parsed.s_addr) : 0
    }

    /// The set bits of a mask.
    private static func bits(of mask: UnsafePointer<sockaddr>) -> Int {
        if Int32(mask.pointee.sa_family) == AF_INET {
            return mask.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                $0.pointee.sin_addr.s_addr.nonzeroBitCount
            }
        }
        return mask.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
            withUnsafeBytes(of: $0.pointee.sin6_addr) { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
        }
    }

    /// The text of an address of the system; nil if it belongs to another family.
    private static func text(of address: UnsafePointer<sockaddr>) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = Int32(address.pointee.sa_family)
        let isMade: Bool
        switch family {
        case AF_INET:
            isMade = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                var own = pointer.pointee.sin_addr
                return inet_ntop(family, &own, &text, socklen_t(text.count)) != nil
            }
        case AF_INET6:
            isMade = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                var own = pointer.pointee.sin6_addr
                return inet_ntop(family, &own, &text, socklen_t(text.count)) != nil
            }
        default: return nil
        }
        return isMade ? String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }
}
