// MLflowServer: the calls of MLflow's REST interface that a run needs.
//
// Reference: https://mlflow.org/docs/latest/rest-api.html; mlflow/utils/validation.py for the limits.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// A tracking server.
struct MLflowServer {
    /// "http://host:5000".
    let address: String
    private let environment: [String: String]
    private let client: HTTPClient
    private let policy: RetryPolicy

    /// Names and values of a batch at most, and characters of a name and of a parameter.
    static let (metricLimit, parameterLimit, nameLength, valueLength) = (1000, 100, 250, 6000)

    /// The server that the environment names.
    ///
    /// Throws: `.usage` where it names none that speaks HTTP.
    init(_ environment: [String: String], policy: RetryPolicy = RetryPolicy()) throws(TuttiError) {
        var address = environment["MLFLOW_TRACKING_URI"] ?? ""
        while address.hasSuffix("/") { address.removeLast() }
        guard address.hasPrefix("http://") || address.hasPrefix("https://") else {
            throw TuttiError(
                .usage, "report to MLflow", "MLFLOW_TRACKING_URI",
                address.isEmpty ? "is not set" : "'\(HTTPRequest.shown(address))' is not the address of a server",
                hint: "Set it to http://HOST:5000, where 'mlflow server' runs.")
        }
        var trust = HTTPClient.Trust()
        trust.trustsEverybody = environment["MLFLOW_TRACKING_INSECURE_TLS"]?.lowercased() == "true"
        trust.authorities = environment["MLFLOW_TRACKING_SERVER_CERT_PATH"]
        trust.certificate = environment["MLFLOW_TRACKING_CLIENT_CERT_PATH"]
        (self.address, self.environment, self.policy) = (address, environment, policy)
        client = HTTPClient(environment: environment, trust: trust)
    }

    // MARK: Calls

    /// The experiment that the environment names, made if it is not there.
    func experiment() throws(TuttiError) -> String {
        if let id = environment["MLFLOW_EXPERIMENT_ID"], !id.isEmpty { return id }
        guard let name = environment["MLFLOW_EXPERIMENT_NAME"], !name.isEmpty else { return "0" }
        func known() throws(TuttiError) -> String? {
            let path = "experiments/get-by-name?experiment_name=\(encoded(name))"
            return try call("GET", path, absence: "RESOURCE_DOES_NOT_EXIST")?["experiment"]?["experiment_id"]?.string
        }
        if let id = try known() { return id }
        // Another run may make it at the same time.
        if let id = try call(
            "POST", "experiments/create", ["name": .string(name)], absence: "RESOURCE_ALREADY_EXISTS")?[
                "experiment_id"]?.string
        {
            return id
        }
        guard let id = try known() else { throw unexpected("experiments/create") }
        return id
    }

    /// The tag by which a run is found whose id was lost with an answer.
    private static let tag = "tutti.key"

    /// Makes a run with a key of its own, and returns its id and where its artifacts are. It is asked for once: after a lost
    /// answer, `run(withKey:)` tells whether there is one.
    func makeRun(
        _ experiment: String, name: String?, key: String
    ) throws(TuttiError) -> (id: String, artifacts: String) {
        let user = environment["USER"] ?? environment["LOGNAME"] ?? "unknown"
        var tags = [
            "mlflow.user": user, "mlflow.source.name": "tutti", "mlflow.source.type": "LOCAL", MLflowServer.tag: key,
        ]
        if let text = environment["MLFLOW_TAGS"], !text.isEmpty {
            for (key, value) in try JSONValue.parse(text, source: "MLFLOW_TAGS").object ?? JSONObject() {
                tags[key] = value.string ?? value.serialized()
            }
        }
        if let name { tags["mlflow.runName"] = name }
        var body: JSONObject = [
            "experiment_id": .string(experiment), "start_time": .integer(MLflowServer.now), "user_id": .string(user),
            "tags": MLflowServer.pairs(tags.sorted { $0.key < $1.key }),
        ]
        if let name { body["run_name"] = .string(name) }
        return try run(in: try call("POST", "runs/create", body, .never), "runs/create")
    }

    /// The run that was made with a key; nil if there is none.
    func run(withKey key: String, in experiment: String) throws(TuttiError) -> String? {
        let body: JSONObject = [
            "experiment_ids": .array([.string(experiment)]), "max_results": .integer(1),
            "filter": .string("tags.`\(MLflowServer.tag)` = '\(key)'"),
        ]
        return try call("POST", "runs/search", body)?["runs"]?.array?.first?["info"]?["run_id"]?.string
    }

    /// A run that is there already, set to running again.
    func takeUp(_ id: String) throws(TuttiError) -> (id: String, artifacts: String) {
        _ = try call("POST", "runs/update", ["run_id": .string(id), "status": .string("RUNNING")])
        return try run(in: try call("GET", "runs/get?run_id=\(encoded(id))"), "runs/get")
    }

    /// Marks a run as finished.
    func finish(_ id: String) throws(TuttiError) {
        let body: JSONObject = [
            "run_id": .string(id), "status": .string("FINISHED"), "end_time": .integer(MLflowServer.now),
        ]
        _ = try call("POST", "runs/update", body)
    }

    /// Sends parameters; equal ones may be sent again.
    func log(_ parameters: [(key: String, value: String)], run: String) throws(TuttiError) {
        for start in stride(from: 0, to: parameters.count, by: MLflowServer.parameterLimit) {
            let part = parameters[start..<min(start + MLflowServer.parameterLimit, parameters.count)]
            let body: JSONObject = ["run_id": .string(run), "params": MLflowServer.pairs(Array(part))]
            _ = try call("POST", "runs/log-batch", body)
        }
    }

    /// Sends metrics, once: after a lost answer, `has` tells whether they arrived.
    func log(_ metrics: [MLflowMetric], run: String) throws(TuttiError) {
        let body: JSONObject = ["run_id": .string(run), "metrics": .array(metrics.map(\.json))]
        _ = try call("POST", "runs/log-batch", body, .never)
    }

    /// Whether a run has a metric.
    func has(_ metric: MLflowMetric, run: String) throws(TuttiError) -> Bool {
        var page = ""
        while true {
            let path = "metrics/get-history?run_id=\(encoded(run))&metric_key=\(encoded(metric.key))&max_results=10000"
            let answer = try call("GET", path + page)
            let isThere = answer?["metrics"]?.array?.contains { entry in
                MLflowServer.number(entry["step"]) == metric.step
                    && MLflowServer.number(entry["timestamp"]) == metric.time
            }
            if isThere == true { return true }
            guard let next = answer?["next_page_token"]?.string, !next.isEmpty else { return false }
            page = "&page_token=\(encoded(next))"
        }
    }

    /// Sends a file to the artifacts of a run, if the server takes them; false if it does not.
    func send(_ file: String, as name: String, artifacts: String) throws(TuttiError) -> Bool {
        let scheme = "mlflow-artifacts:"
        guard artifacts.hasPrefix(scheme) else { return false }
        // mlflow-artifacts:/0/id/artifacts, or with a host.
        var path = artifacts.dropFirst(scheme.count)
        if path.hasPrefix("//") { path = path.dropFirst(2).drop { $0 != "/" } }
        while path.hasPrefix("/") { path.removeFirst() }
        let size = try MappedFile(path: file).bytes.count
        var request = HTTPRequest("PUT", "\(address)/api/2.0/mlflow-artifacts/artifacts/\(path)/\(name)")
        request.body = .file(path: file, offset: 0, count: size)
        _ = try checked(request, policy)
        return true
    }

    // MARK: Requests

    /// Calls the interface; nil where the answer is the error `absence`.
    private func call(
        _ method: String, _ path: String, _ body: JSONObject? = nil, absence: String? = nil,
        _ own: RetryPolicy? = nil
    ) throws(TuttiError) -> JSONValue? {
        var request = HTTPRequest(method, "\(address)/api/2.0/mlflow/\(path)")
        if let body {
            request.headers = [("Content-Type", "application/json")]
            request.body = .bytes(Array(body.serialized().utf8))
        }
        guard let response = try checked(request, own ?? policy, absence: absence) else { return nil }
        return try JSONValue.parse(response.body, source: request.shownURL)
    }

    private func call(
        _ method: String, _ path: String, _ body: JSONObject, _ own: RetryPolicy
    ) throws(TuttiError) -> JSONValue? { try call(method, path, body, absence: nil, own) }

    @discardableResult
    private func checked(
        _ request: HTTPRequest, _ policy: RetryPolicy, absence: String? = nil
    ) throws(TuttiError) -> HTTPResponse? {
        var request = request
        request.timeout = environment["MLFLOW_HTTP_REQUEST_TIMEOUT"].flatMap(Double.init) ?? 10
        request.headers.append(("User-Agent", "tutti/\(tuttiVersion)"))
        if let user = environment["MLFLOW_TRACKING_USERNAME"], let word = environment["MLFLOW_TRACKING_PASSWORD"] {
            request.headers.append(("Authorization", "Basic " + Data("\(user):\(word)".utf8).base64EncodedString()))
        } else if let token = environment["MLFLOW_TRACKING_TOKEN"] {
            request.headers.append(("Authorization", "Bearer \(token)"))
        }
        let response = try client.send(request, policy)
        if response.isSuccess { return response }
        var (code, message) = ("", "")
        do throws(TuttiError) {
            let answer = try JSONValue.parse(response.body, source: "answer")
            (code, message) = (answer["error_code"]?.string ?? "", answer["message"]?.string ?? "")
        } catch {}  // not every server in between answers in JSON
        if let absence, code == absence { return nil }
        let isTransient = self.policy.statuses.contains(response.status)
        throw TuttiError(
            isTransient ? .retryable : .usage, "report to MLflow", request.shownURL,
            "answered \(response.status)\(message.isEmpty ? "" : ": \(message.prefix(300))")",
            hint: response.status == 401 || response.status == 403
                ? "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN." : nil)
    }

    private func run(in answer: JSONValue?, _ path: String) throws(TuttiError) -> (id: String, artifacts: String) {
        let info = answer?["run"]?["info"]
        guard let id = info?["run_id"]?.string else { throw unexpected(path) }
        return (id, info?["artifact_uri"]?.string ?? "")
    }

    private func unexpected(_ path: String) -> TuttiError {
        TuttiError(.data, "report to MLflow", "\(address)/api/2.0/mlflow/\(path)", "the answer is not one of MLflow")
    }

    private func encoded(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    private static func pairs(_ all: [(key: String, value: String)]) -> JSONValue {
        .array(all.map { .object(["key": .string($0.key), "value": .string($0.value)]) })
    }

    /// A number, which some servers write as a text.
    private static func number(_ value: JSONValue?) -> Int? { value?.int ?? value?.string.flatMap { Int($0) } }

    /// Milliseconds since 1970.
    static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

/// One value of a metric.
struct MLflowMetric {
    let key: String
    let value: JSONValue
    let step: Int
    /// Milliseconds since 1970.
    let time: Int

    /// A name of the characters that MLflow takes.
    static func name(_ text: String) -> String {
        let plain = text.map { character in
            character.isASCII && (character.isLetter || character.isNumber || "_-. :/".contains(character))
                ? character : "_"
        }
        return String(plain.prefix(MLflowServer.nameLength))
    }

    var json: JSONValue {
        .object([
            "key": .string(key), "value": value, "timestamp": .integer(Int64(time)), "step": .integer(Int64(step)),
        ])
    }
}
