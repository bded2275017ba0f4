// HostInterfaces: the IPv4 interfaces of this host, and what names resolve to here.

import Glibc

/// Addresses as the system gives them.
enum HostInterfaces {
    /// The interfaces that are up, without the loopback.
    static func interfaces() -> [NetworkInterface] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var found: [NetworkInterface] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ifa_next
            let isUp = entry.ifa_flags & UInt32(IFF_UP) != 0
            let isLoopback = entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0
            guard isUp, !isLoopback, let address = text(entry.ifa_addr), let mask = text(entry.ifa_netmask) else {
                continue
            }
            let name = String(cString: entry.ifa_name)
            let speed = SystemFile.word("/sys/class/net/\(name)/speed").flatMap { Int($0) }.flatMap {
                $0 > 0 ? $0 : nil
            }
            found.append(
                NetworkInterface(name: name, address: address, bits: number(of: mask).nonzeroBitCount, speed: speed))
        }
        return found
    }

    /// The IPv4 addresses of a host, which may be named as user@host; empty if it has none.
    static func resolve(_ host: String) -> [String] {
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
            if let address = text(entry.ai_addr), !found.contains(address) { found.append(address) }
        }
        return found
    }

    /// An address "a.b.c.d" as a number; 0 if it is none.
    static func number(of address: String) -> UInt32 {
        var parsed = in_addr()
        return inet_pton(AF_INET, address, &parsed) == 1 ? UInt32(bigEndian: parsed.s_addr) : 0
    }

    private static func text(_ address: UnsafeMutablePointer<sockaddr>?) -> String? {
        guard let address, Int32(address.pointee.sa_family) == AF_INET else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
            let number = UInt32(bigEndian: pointer.pointee.sin_addr.s_addr)
            return "\(number >> 24).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
        }
    }
}
