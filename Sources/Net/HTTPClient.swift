// HTTPClient: sends one request at a time and waits for the answer; its connections stay open between requests.
//
// What: the system's libcurl (CTuttiHTTP), which also reads http_proxy, https_proxy, all_proxy and no_proxy of the
// environment, in either case. Redirects are not followed: only the caller knows which host may see its token.

import CTuttiHTTP
import Foundation
import TuttiGround

/// A client of HTTP servers; threads take turns.
package final class HTTPClient: @unchecked Sendable {
    /// How servers are trusted, and this client by them; paths of PEM files.
    package struct Trust: Sendable {
        /// Certificates of authorities in place of the system's.
        package var authorities: String?
        package var certificate: String?
        package var key: String?
        /// Whether certificates are not checked at all.
        package var trustsEverybody = false

        package init() {}
    }

    /// Gets the bytes of a body as they come, with status and headers; false ends the transfer.
    package typealias Receiver = (HTTPResponse, UnsafeRawBufferPointer) -> Bool

    private let turn = NSLock()
    private var connection: UnsafeMutableRawPointer?
    private let proxy: String?
    private let trust: Trust
    /// Whether a transfer should go on; asked about once a second.
    private let goesOn: @Sendable () -> Bool

    /// A client; `environment` names the proxies.
    package init(
        environment: [String: String] = ProcessInfo.processInfo.environment, trust: Trust = Trust(),
        goesOn: @escaping @Sendable () -> Bool = { true }
    ) {
        self.trust = trust
        self.goesOn = goesOn
        // libcurl reads this one in lower case only.
        let isSet = ["http_proxy", "all_proxy", "ALL_PROXY"].contains { environment[$0]?.isEmpty == false }
        proxy = isSet ? nil : environment["HTTP_PROXY"].flatMap { $0.isEmpty ? nil : $0 }
    }

    deinit {
        if let connection { tutti_http_close(connection) }
    }

    /// Sends a request and returns the answer, whatever its status; `receive` takes the body in place of memory.
    ///
    /// Throws: `.retryable` where nobody answers or the connection breaks; `.usage` for an address that cannot be used
    /// or a certificate that is not trusted; `.missingFile` without libcurl.
    package func send(_ request: HTTPRequest, receive: Receiver? = nil) throws(TuttiError) -> HTTPResponse {
        turn.lock()
        defer { turn.unlock() }
        if connection == nil { connection = tutti_http_open() }
        guard let connection else {
            throw TuttiError(
                .missingFile, "open a connection", request.shownURL, "libcurl is not installed",
                hint: "Install the package libcurl4 (libcurl.so.4).")
        }
        return try withoutActuallyEscaping(receive ?? { _, _ in true }) { receiver throws(TuttiError) in
            let answer = Answer(receiver: receive == nil ? nil : receiver, goesOn: goesOn)
            try HTTPClient.perform(request, on: connection, proxy: proxyFor(request), trust: trust, into: answer)
            return answer.response
        }
    }

    private func proxyFor(_ request: HTTPRequest) -> String? {
        request.url.lowercased().hasPrefix("http://") ? proxy : nil
    }

    /// What the callbacks of one transfer fill.
    private final class Answer {
        var response = HTTPResponse(status: 0, headers: HTTPHeaders(), body: [])
        let receiver: Receiver?
        let goesOn: () -> Bool

        init(receiver: Receiver?, goesOn: @escaping () -> Bool) {
            self.receiver = receiver
            self.goesOn = goesOn
        }

        func add(header: String) {
            guard header.hasPrefix("HTTP/") else { return response.headers.add(line: header) }
            // A new answer: what came before was "100 Continue" or a proxy's.
            response = HTTPResponse(status: 0, headers: HTTPHeaders(), body: [])
            let words = header.split(separator: " ")
            if words.count > 1 { response.status = Int(words[1]) ?? 0 }
        }

        func add(body: UnsafeRawBufferPointer) -> Bool {
            if let receiver { return receiver(response, body) }
            response.body.append(contentsOf: body)
            return true
        }
    }

    private static func perform(
        _ request: HTTPRequest, on connection: UnsafeMutableRawPointer, proxy: String?, trust: Trust,
        into answer: Answer
    ) throws(TuttiError) {
        var own = tutti_http_request()
        var bytes: [UInt8] = []
        own.size = request.method == "POST" || request.method == "PUT" ? 0 : -1
        own.file = -1
        switch request.body {
        case .none: break
        case .bytes(let body): (bytes, own.size) = (body, Int64(body.count))
        case .file(let path, let offset, let count):
            own.file = open(path, O_RDONLY | O_CLOEXEC)
            guard own.file >= 0 else {
                throw TuttiError(.missingFile, "send a file", path, String(cString: strerror(errno)))
            }
            (own.offset, own.size) = (Int64(offset), Int64(count))
        }
        defer { if own.file >= 0 { close(own.file) } }
        own.connect_timeout = request.connectTimeout ?? request.timeout
        own.stall_timeout = request.timeout
        own.trusts_everybody = trust.trustsEverybody ? 1 : 0

        let copies = Copies()
        own.method = UnsafePointer(copies.text(request.method))
        own.url = UnsafePointer(copies.text(request.url))
        let lines = copies.texts(request.headers.map { "\($0.name): \($0.value)" })
        own.headers = UnsafePointer(lines.baseAddress)
        own.header_count = lines.count
        own.proxy = proxy.map { UnsafePointer(copies.text($0)) }
        own.authorities = trust.authorities.map { UnsafePointer(copies.text($0)) }
        own.certificate = trust.certificate.map { UnsafePointer(copies.text($0)) }
        own.key = trust.key.map { UnsafePointer(copies.text($0)) }

        var status: Int32 = 0
        var message = [CChar](repeating: 0, count: 256)
        var sink = tutti_http_sink(
            context: Unmanaged.passUnretained(answer).toOpaque(),
            header: { context, line, count in
                guard let answer = HTTPClient.answer(context) else { return }
                let bytes = UnsafeRawBufferPointer(start: line, count: count)
                answer.add(header: String(decoding: bytes, as: UTF8.self))
            },
            body: { context, bytes, count in
                guard let answer = HTTPClient.answer(context) else { return 0 }
                return answer.add(body: UnsafeRawBufferPointer(start: bytes, count: count)) ? 1 : 0
            },
            goes_on: { context in HTTPClient.answer(context)?.goesOn() == true ? 1 : 0 })
        let end = bytes.withUnsafeBytes { body in
            if case .bytes = request.body { own.bytes = body.baseAddress ?? UnsafeRawPointer(copies.text("")) }
            return withExtendedLifetime((answer, copies)) {
                tutti_http_perform(connection, &own, &sink, &status, &message)
            }
        }
        if answer.response.status == 0 { answer.response.status = Int(status) }
        let problem = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        switch Int(end) {
        case tutti_http_done, tutti_http_stopped: return
        case tutti_http_no_connection:
            throw TuttiError(.retryable, "\(request.method) over HTTP", request.shownURL, printed(problem))
        default:
            throw TuttiError(
                .usage, "\(request.method) over HTTP", request.shownURL, printed(problem),
                hint: "Check the address, and the certificates that this machine trusts.")
        }
    }

    private static func answer(_ context: UnsafeMutableRawPointer?) -> Answer? {
        context.map { Unmanaged<Answer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// libcurl's message as the middle of a sentence.
    private static func printed(_ message: String) -> String {
        message.hasSuffix(".") ? String(message.dropLast()) : message
    }
}

/// Texts with a final zero, until it goes away.
private final class Copies {
    private var texts: [UnsafeMutablePointer<CChar>] = []
    private var lists: [UnsafeMutableBufferPointer<UnsafePointer<CChar>?>] = []

    func text(_ text: String) -> UnsafeMutablePointer<CChar> {
        let bytes = text.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (place, byte) in bytes.enumerated() { copy[place] = byte }
        texts.append(copy)
        return copy
    }

    func texts(_ all: [String]) -> UnsafeMutableBufferPointer<UnsafePointer<CChar>?> {
        let list = UnsafeMutableBufferPointer<UnsafePointer<CChar>?>.allocate(capacity: all.count)
        for (place, one) in all.enumerated() { list.initializeElement(at: place, to: UnsafePointer(text(one))) }
        lists.append(list)
        return list
    }

    deinit {
        texts.forEach { $0.deallocate() }
        lists.forEach { $0.deallocate() }
    }
}
