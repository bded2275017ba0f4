// DatagramSocket: sends and receives single small packets (UDP), never waiting.
//
// For what may be lost now and then: nothing is connected, so nothing has to be repaired when a cable comes back. Neither
// sending nor receiving allocates.

import Glibc
import TuttiGround

/// A socket with a port that the system chose; used by one thread at a time.
package final class DatagramSocket: @unchecked Sendable {
    /// The port that it listens on.
    package let port: UInt16
    private let descriptor: Int32
    private let family: Int32
    private var sender = sockaddr_storage()
    private var senderLength: socklen_t = 0

    /// Opens a socket for this host alone, or for all its addresses, both of IPv4 and IPv6 where the host has them.
    ///
    /// - Throws: a retryable error if the system refuses it.
    package init(onlyThisHost: Bool) throws(TuttiError) {
        let wanted = onlyThisHost ? [AF_INET] : [AF_INET6, AF_INET]
        var opened: (descriptor: Int32, family: Int32, port: UInt16)?
        for family in wanted where opened == nil {
            opened = Self.open(family, onlyThisHost: onlyThisHost)
        }
        guard let opened else {
            throw TuttiError(.retryable, "open a UDP socket", "", String(cString: strerror(errno)))
        }
        (descriptor, family, port) = opened
    }

    deinit { close(descriptor) }

    private static func open(_ family: Int32, onlyThisHost: Bool) -> (Int32, Int32, UInt16)? {
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { return nil }
        var (off, space): (Int32, Int32) = (0, 4 << 20)
        if family == AF_INET6 {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &off, socklen_t(MemoryLayout<Int32>.size))
        }
        // More room than usual, for thousands of ranks; the system may grant less.
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &space, socklen_t(MemoryLayout<Int32>.size))
        let any = NetworkAddress(family == AF_INET6 ? "::" : onlyThisHost ? "127.0.0.1" : "0.0.0.0", port: 0)
        var name = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isBound = any?.withSystemForm(family: family) { bind(descriptor, $0, $1) } == 0
        let isNamed =
            isBound
            && withUnsafeMutablePointer(to: &name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
            } == 0
        guard isNamed else {
            let reason = errno
            close(descriptor)
            errno = reason
            return nil
        }
        let port = withUnsafeBytes(of: &name) { $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self) }
        return (descriptor, family, UInt16(bigEndian: port))
    }

    /// Sends a packet; false if the system could not take it now or ever.
    @discardableResult
    package func send(_ bytes: UnsafeRawBufferPointer, to address: NetworkAddress) -> Bool {
        address.withSystemForm(family: family) {
            sendto(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), $0, $1)
        } == bytes.count
    }

    /// The next packet that has come.
    ///
    /// - Returns: its whole length, of which `into` may hold the beginning only; nil if none is waiting.
    package func receive(into bytes: UnsafeMutableRawBufferPointer) -> Int? {
        while true {
            senderLength = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &sender) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(
                        descriptor, bytes.baseAddress, bytes.count, Int32(MSG_TRUNC), $0, &senderLength)
                }
            }
            if count >= 0 { return count }
            // A refusal of an earlier packet of ours is told here: it says nothing about what is waiting.
            if errno != EINTR, errno != ECONNREFUSED { return nil }
        }
    }

    /// Sends a packet to whoever sent the one that `receive` gave last.
    @discardableResult
    package func answer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        withUnsafePointer(to: &sender) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), $0, senderLength)
            }
        } == bytes.count
    }
}
