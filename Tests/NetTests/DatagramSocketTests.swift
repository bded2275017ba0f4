// Packets over the loopback: what is sent arrives, whole and once, and its sender can be answered.

import Foundation
import Testing
import TuttiNet

@Suite struct DatagramSocketTests {
    private func receive(_ socket: DatagramSocket, room: Int = 64) -> (length: Int, bytes: [UInt8])? {
        var bytes = [UInt8](repeating: 0, count: room)
        for _ in 0..<500 {
            if let length = bytes.withUnsafeMutableBytes({ socket.receive(into: $0) }) { return (length, bytes) }
            usleep(2_000)
        }
        return nil
    }

    private func send(_ bytes: [UInt8], from socket: DatagramSocket, to address: NetworkAddress) -> Bool {
        bytes.withUnsafeBytes { socket.send($0, to: address) }
    }

    @Test(arguments: [true, false])
    func packetsArriveAndAreAnswered(onlyThisHost: Bool) throws {
        let one = try DatagramSocket(onlyThisHost: onlyThisHost)
        let other = try DatagramSocket(onlyThisHost: onlyThisHost)
        #expect(one.port != other.port && one.port > 0)
        #expect(receive(one, room: 1) == nil)
        let address = try #require(NetworkAddress("127.0.0.1", port: other.port))
        #expect(send([1, 2, 3], from: one, to: address))
        let heard = try #require(receive(other))
        #expect(heard.length == 3 && Array(heard.bytes.prefix(4)) == [1, 2, 3, 0])
        #expect([UInt8](arrayLiteral: 9).withUnsafeBytes { other.answer($0) })
        let answer = try #require(receive(one))
        #expect(answer.length == 1 && answer.bytes[0] == 9)
    }

    /// Its true length is told, so that a stranger's packet is not taken for one of ours.
    @Test func aLongerPacketIsNotTakenForAShortOne() throws {
        let (one, other) = (try DatagramSocket(onlyThisHost: true), try DatagramSocket(onlyThisHost: true))
        let address = try #require(NetworkAddress("127.0.0.1", port: other.port))
        #expect(send(Array(repeating: 7, count: 100), from: one, to: address))
        #expect(receive(other, room: 10)?.length == 100)
    }

    /// The system tells a sender that nobody listens; that must not hide what comes from others.
    @Test func aRefusalHidesNothing() throws {
        let (one, other) = (try DatagramSocket(onlyThisHost: true), try DatagramSocket(onlyThisHost: true))
        var gone: DatagramSocket? = try DatagramSocket(onlyThisHost: true)
        let nowhere = try #require(NetworkAddress("127.0.0.1", port: gone?.port ?? 0))
        gone = nil
        for _ in 0..<3 { _ = send([0], from: one, to: nowhere) }
        let address = try #require(NetworkAddress("127.0.0.1", port: one.port))
        #expect(send([5], from: other, to: address))
        #expect(receive(one)?.bytes[0] == 5)
    }

    @Test func addressesAreReadAndWritten() throws {
        #expect(NetworkAddress("10.0.0.2", port: 80)?.description == "10.0.0.2:80")
        #expect(NetworkAddress("2001:db8::2", port: 80)?.description == "[2001:db8::2]:80")
        for text in ["", "node01", "10.0.0", "10.0.0.256", "1::2::3"] { #expect(NetworkAddress(text, port: 1) == nil) }
        let own = NetworkAddress.ownTexts()
        #expect(own.last == "127.0.0.1")
        for text in own { #expect(NetworkAddress(text, port: 1) != nil, "\(text)") }
    }
}
