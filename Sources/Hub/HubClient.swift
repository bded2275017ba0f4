// HubClient: requests to the hub, with the token, and what its refusals mean.
//
// The token goes to the hub's own address and nowhere else: redirects are followed by hand, and a host that stores files
// gets a request without it.
//
// Reference: huggingface_hub/utils/_http.py, huggingface_hub/file_download.py.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// Why the hub did not give what was asked for.
package struct HubFailure: Error, Sendable {
    /// What the hub refused, or that it was not reached.
    package enum Reason: Sendable {
        case unreachable, repository, revision, entry, gated, token, conflict, other
    }

    package let reason: Reason
    /// What the user reads.
    package let error: TuttiError
    /// The hub's answer, if there was one.
    package var answer: HTTPResponse?

    init(reason: Reason, error: TuttiError, answer: HTTPResponse? = nil) {
        (self.reason, self.error, self.answer) = (reason, error, answer)
    }

    /// A failure of this machine.
    package init(_ error: TuttiError) { self.init(reason: .other, error: error) }
}

/// Sends requests to one hub.
package final class HubClient: Sendable {
    package let settings: HubSettings
    let http: HTTPClient
    let policy: RetryPolicy

    /// A client of the hub of `settings`.
    package init(
        _ settings: HubSettings, policy: RetryPolicy = RetryPolicy(), goesOn: @escaping @Sendable () -> Bool = { true }
    ) {
        self.settings = settings
        self.policy = policy
        http = HTTPClient(environment: settings.environment, goesOn: goesOn)
    }

    /// The policy of the first request: a hub that is not reached soon is not there. `isCached` tells that there is a copy, for
    /// which nobody wants to wait.
    func firstContact(isCached: Bool) -> RetryPolicy {
        if isCached { return .never }
        var policy = policy
        policy.secondsWithoutAnswer = settings.contactTimeout
        return policy
    }

    // MARK: Requests

    /// Whether a token may go to `url`.
    func isHub(_ url: String) -> Bool { HTTPRequest.origin(of: url) == HTTPRequest.origin(of: settings.endpoint) }

    /// The headers of a request to `url`: the token, only for the hub itself.
    func headers(for url: String) -> [(name: String, value: String)] {
        var headers = [(name: "User-Agent", value: "tutti/\(tuttiVersion)"), ("Accept-Encoding", "identity")]
        if let token = settings.token, isHub(url) { headers.append(("Authorization", "Bearer \(token)")) }
        return headers
    }

    /// Sends a request, and follows redirects inside the hub; one to another host is returned as it is.
    ///
    /// Throws: where the hub cannot be reached.
    func send(_ request: HTTPRequest, _ policy: RetryPolicy? = nil) throws(HubFailure) -> HTTPResponse {
        var request = request
        let own = request.headers
        for _ in 0..<10 {
            request.headers = headers(for: request.url) + own
            let response: HTTPResponse
            do throws(TuttiError) {
                response = try http.send(request, policy ?? self.policy)
            } catch {
                throw HubFailure(reason: .unreachable, error: HubClient.explained(error))
            }
            guard response.isRedirect, let target = HubClient.target(of: response, from: request.url), isHub(target)
            else { return response }
            if response.status == 303 { (request.method, request.body) = ("GET", .none) }
            request.url = target
        }
        throw HubFailure(
            reason: .other,
            error: TuttiError(.retryable, "follow redirects", request.shownURL, "the hub sends in circles"))
    }

    /// The address of a path of the hub: "/api/models/...".
    func url(_ path: String) -> String { settings.endpoint + path }

    /// Where a redirect leads.
    static func target(of response: HTTPResponse, from url: String) -> String? {
        guard let location = response.headers["Location"] else { return nil }
        if location.contains("://") { return location }
        guard location.hasPrefix("/"), let origin = HTTPRequest.origin(of: url) else { return nil }
        return origin + location
    }

    /// Sends JSON and returns the JSON of a successful answer.
    func json(
        _ method: String, _ path: String, _ body: JSONValue? = nil, of repository: HubRepository,
        revision: String? = nil, timeout: Double? = nil, connectTimeout: Double? = nil, _ policy: RetryPolicy? = nil
    ) throws(HubFailure) -> JSONValue {
        var request = HTTPRequest(method, url(path))
        if let body {
            request.headers = [("Content-Type", "application/json")]
            request.body = .bytes(Array(body.serialized().utf8))
        }
        request.timeout = timeout ?? settings.metadataTimeout
        request.connectTimeout = connectTimeout
        let response = try send(request, policy)
        guard response.isSuccess else { throw failure(response, repository, revision: revision) }
        return try HubClient.parsed(response, request)
    }

    static func parsed(_ response: HTTPResponse, _ request: HTTPRequest) throws(HubFailure) -> JSONValue {
        do throws(TuttiError) {
            return try JSONValue.parse(response.body, source: request.shownURL)
        } catch {
            throw HubFailure(error)
        }
    }

    // MARK: Refusals

    /// What an answer that is not a success means.
    func failure(
        _ response: HTTPResponse, _ repository: HubRepository, revision: String? = nil, path: String? = nil
    ) -> HubFailure {
        let message = HubClient.message(of: response)
        func failure(
            _ reason: HubFailure.Reason, _ kind: TuttiError.Kind, _ problem: String, _ hint: String?
        ) -> HubFailure {
            HubFailure(
                reason: reason,
                error: TuttiError(kind, "ask the hub", "\(settings.endpoint)\(repository.page)", problem, hint: hint),
                answer: response)
        }
        let tokenHint =
            settings.token == nil
            ? "If it is private, set HF_TOKEN to a token that may read it."
            : "Check the id, and what the token may read."
        switch (response.headers["X-Error-Code"], response.status) {
        case ("RevisionNotFound", _):
            return failure(
                .revision, .missingFile, "there is no revision '\(revision ?? "main")'",
                "Give a branch, a tag or a commit of the repository.")
        case ("EntryNotFound", _):
            return failure(.entry, .missingFile, "there is no file '\(path ?? "")'", nil)
        case ("GatedRepo", _):
            return failure(
                .gated, .usage, "access is restricted\(HubClient.clause(message))",
                "Ask for access on its page, and set HF_TOKEN to the token of that account.")
        case (_, 401) where settings.token != nil && response.headers["X-Error-Code"] != "RepoNotFound":
            return failure(
                .token, .usage, "the token is not accepted\(HubClient.clause(message))",
                "It may have expired: make another, and set HF_TOKEN or log in again.")
        case ("RepoNotFound", _), (_, 401):
            return failure(.repository, .missingFile, "there is no such \(repository.kind.rawValue)", tokenHint)
        case (_, 403):
            return failure(
                .token, .usage, "the hub refuses it\(HubClient.clause(message))", "Check what the token may do.")
        case (_, 404):
            return failure(.repository, .missingFile, "not found\(HubClient.clause(message))", tokenHint)
        case (_, 409), (_, 412):
            return failure(
                .conflict, .retryable, "somebody else has changed the branch\(HubClient.clause(message))",
                "Send it again.")
        case (_, 429):
            return failure(.unreachable, .retryable, "too many requests", "Wait some minutes.")
        case (_, 500...):
            return failure(
                .unreachable, .retryable, "the hub failed with \(response.status)\(HubClient.clause(message))", nil)
        default:
            return failure(
                .other, .usage, "the hub answered \(response.status)\(HubClient.clause(message))", nil)
        }
    }

    /// What the hub says of an error.
    private static func message(of response: HTTPResponse) -> String {
        if let message = response.headers["X-Error-Message"], !message.isEmpty { return message }
        do throws(TuttiError) {
            let json = try JSONValue.parse(response.body, source: "answer")
            let errors = json["errors"]?.array?.compactMap { $0["message"]?.string } ?? []
            return errors.isEmpty ? json["error"]?.string ?? "" : errors.joined(separator: "; ")
        } catch {
            return ""
        }
    }

    private static func clause(_ message: String) -> String {
        let text = message.trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? "" : ": " + String(text.hasSuffix(".") ? text.dropLast() : text[...]).prefix(300)
    }

    /// A failed connection, with what to do about it.
    private static func explained(_ error: TuttiError) -> TuttiError {
        guard error.kind == .retryable, error.hint == nil else { return error }
        var error = error
        error.hint =
            "Where there is no network, download on another machine with 'tutti download', and set HF_HUB_OFFLINE=1; "
            + "https_proxy names a proxy, HF_ENDPOINT a mirror, HF_HUB_ETAG_TIMEOUT the seconds to wait."
        return error
    }
}
