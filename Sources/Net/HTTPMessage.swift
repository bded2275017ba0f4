// An HTTP request and its answer, as values.
//
// Reference: RFC 9110.

import TuttiGround

/// A request of HTTP.
package struct HTTPRequest: Sendable {
    /// What is sent.
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// `count` bytes of the file at `path`, from `offset` on.
        case file(path: String, offset: Int, count: Int)
    }

    /// GET, HEAD, POST, PUT, DELETE ...
    package var method: String
    /// The address, http or https.
    package var url: String
    /// Names and values, in order.
    package var headers: [(name: String, value: String)]
    package var body: Body
    /// Seconds without a byte on a connection.
    package var timeout = 10.0
    /// Seconds until there is a connection; nil for `timeout`.
    package var connectTimeout: Double?

    /// A request.
    package init(
        _ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: Body = .none
    ) {
        (self.method, self.url, self.headers, self.body) = (method, url, headers, body)
    }

    /// The address as messages show it: without a query, which may be a signature, and without a password.
    package var shownURL: String { HTTPRequest.shown(url) }

    /// An address without a query and without a password.
    package static func shown(_ url: String) -> String {
        var text = url.prefix { $0 != "?" && $0 != "#" }
        guard let start = text.firstRange(of: "://")?.upperBound else { return String(text) }
        let host = text[start...].prefix { $0 != "/" }
        if let at = host.lastIndex(of: "@") { text.removeSubrange(start...at) }
        return String(text)
    }

    /// The host and port of an address, lower case: "huggingface.co", "127.0.0.1:8080"; nil where it has none.
    package static func host(of url: String) -> String? {
        guard let start = url.firstRange(of: "://")?.upperBound else { return nil }
        let authority = url[start...].prefix { !"/?#".contains($0) }
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        return host.isEmpty ? nil : host.lowercased()
    }

    /// The scheme and host of an address: "https://huggingface.co".
    package static func origin(of url: String) -> String? {
        guard let scheme = url.firstRange(of: "://")?.lowerBound, let host = host(of: url) else { return nil }
        return url[..<scheme].lowercased() + "://" + host
    }
}

/// The headers of an answer.
package struct HTTPHeaders: Sendable {
    private var values: [String: String] = [:]

    package init() {}

    /// Adds the line "Name: value"; other lines are ignored. Of a name that comes twice the values are joined.
    mutating func add(line: some StringProtocol) {
        guard let colon = line.firstIndex(of: ":") else { return }
        let name = line[..<colon].lowercased()
        let value = line[line.index(after: colon)...].split(separator: " ", omittingEmptySubsequences: true)
            .joined(separator: " ")
        values[name] = values[name].map { $0 + ", " + value } ?? value
    }

    /// The value of a header, whatever the case of its name.
    package subscript(name: String) -> String? { values[name.lowercased()] }
}

/// The answer to a request.
package struct HTTPResponse: Sendable {
    /// 200, 404 ...
    package var status: Int
    package var headers: HTTPHeaders
    /// Empty where the body went to a receiver.
    package var body: [UInt8]

    /// Whether the server did what was asked.
    package var isSuccess: Bool { (200..<300).contains(status) }

    /// Whether it sends elsewhere.
    package var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) && headers["Location"] != nil }

    /// The body as text.
    package var text: String { String(decoding: body, as: UTF8.self) }
}
