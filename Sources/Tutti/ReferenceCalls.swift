// What scripts of sentence-transformers write in one line: a column by its name, some of the rows, an evaluation, a saved model.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiHub
import TuttiModels

extension Table {
    /// The texts of a column, in row order.
    ///
    /// - Throws: `.data` with the nearest name where there is no such text column.
    public subscript(name: String) -> [String] {
        get throws(TuttiError) { texts(column: try column(named: name)) }
    }

    /// The rows `rows`, as many of them as there are.
    public func select(_ rows: Range<Int>) -> Table {
        selecting(Array(rows.clamped(to: 0..<rowCount)))
    }
}

extension Evaluator {
    /// The metrics of `model` under their keys, outside of a run. Collective with an ensemble.
    ///
    /// - Parameters:
    ///   - model: what is judged.
    ///   - outputDirectory: where results are appended below eval/; nil writes nothing.
    ///   - ensemble: the ranks that share the work.
    @discardableResult
    public func callAsFunction(
        _ model: any SentenceEncoding, outputDirectory: String? = nil,
        ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> [String: Double] {
        let metrics = try evaluate(
            model: model, ensemble: ensemble, context: EvaluationContext(outputDirectory: outputDirectory))
        return Dictionary(metrics.map { ($0.key, $0.value) }) { first, _ in first }
    }
}

extension SentenceEncoder {
    /// Writes the model's folder to `path`, whole or not at all; a model that was there before is replaced.
    ///
    /// - Throws: `.usage` for a folder that holds something else; `.retryable` naming the file that cannot be written.
    public func savePretrained(_ path: String) throws {
        try checkReplaceable(path)
        try AtomicWrite.directory(finalPath: path) { try save(to: $0, card: nil) }
    }

    /// Writes the model's folder to `path` as `savePretrained`, with the model as ONNX in `onnx/model.onnx`, which
    /// sentence-transformers' ONNX backend and servers open.
    ///
    /// - Parameters:
    ///   - path: the folder to make.
    ///   - quantization: of a second, smaller file beside it; nil = none.
    /// - Returns: what a user should know, a line each.
    /// - Throws: also `.data` for a model that cannot be exported, naming the part.
    @discardableResult
    public func exportONNX(_ path: String, quantization: ONNXQuantization? = nil) throws -> [String] {
        try checkReplaceable(path)
        var notices: [String] = []
        try AtomicWrite.directory(finalPath: path) { notices = try saveWithONNX(to: $0, quantization: quantization) }
        return notices
    }

    /// Refuses a folder that holds something else than a model.
    private func checkReplaceable(_ path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
        let names = isFolder.boolValue ? try FileManager.default.contentsOfDirectory(atPath: path) : [path]
        guard names.isEmpty || names.contains("modules.json") else {
            throw TuttiError(
                .usage, "save a model", path, "holds something else than a model, which is not replaced",
                hint: "Give a new folder.")
        }
    }

    /// Pushes the folder that `savePretrained` writes to the hub, as one commit of what is new; the repository is made if it
    /// is not there. HF_TOKEN, or a login, must be allowed to write.
    ///
    /// - Parameters:
    ///   - id: "organization/name"; a name alone is one of the user's own.
    ///   - isPrivate: whether a new repository is private; nil is the account's default.
    ///   - revision: a branch, made if it is not there.
    ///   - message: the title of the commit.
    /// - Returns: the commit's address.
    /// - Throws: `.usage` for an id that cannot be one, or without rights; `.retryable` where the hub cannot be reached.
    @discardableResult
    public func pushToHub(
        _ id: String, isPrivate: Bool? = nil, revision: String? = nil,
        message: String = "Add new SentenceTransformer model"
    ) throws -> String {
        let folder = FileManager.default.temporaryDirectory.path + "/tutti-push-\(UUID().uuidString)"
        try savePretrained(folder)
        let outcome = Result<HubPush, TuttiError> { () throws(TuttiError) in
            try HubUploader(HubClient(HubSettings()), notice: { _ in }).push(
                folder, to: id, isPrivate: isPrivate, revision: revision, message: message)
        }
        try FileManager.default.removeItem(atPath: folder)
        return try outcome.get().url
    }
}
