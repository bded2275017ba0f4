// HubPushes: pushes a run's checkpoints and its final model to the hub, on a thread beside training.
//
// A push never stops a run: what went wrong is a notice, and the end says what was not pushed and which command does it.
// What is pushed is a folder of hard links, so that a checkpoint may be deleted meanwhile. Notices wait for the main thread,
// because reports are called by no other.
//
// Reference: Trainer._push_from_checkpoint of transformers.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiHub
import TuttiReports

/// Pushes what a run saves. Rank zero only.
final class HubPushes: Report, @unchecked Sendable {
    /// Where its notices go.
    var tell: (String) -> Void = { _ in }
    private let arguments: HubArguments
    private let output: String
    private let id: String
    private let settings: HubSettings
    private let condition = NSCondition()
    // Guarded by `condition`.
    private var waiting: [Push] = []
    private var isBusy = false
    private var notices: [String] = []
    private var failed: (folder: String, problem: String)?
    private var repository: HubRepository?

    /// One commit.
    private struct Push {
        /// The folder of links.
        var folder: String
        /// What it is, and where it is found afterwards.
        var source: String
        var message: String
        /// The folder of the repository for the whole checkpoint beside the model; nil for the model alone.
        var checkpoint: String?
    }

    /// Files of a checkpoint that are no part of the model.
    private static let ofCheckpoints: Set<String> = [
        "trainer_state.json", "tutti_state.json", "optimizer.safetensors", "loss.safetensors",
    ]

    /// Pushes of a run that writes to `output`; nil where none is wanted.
    ///
    /// - Throws: `.usage` where there is no token to push with.
    init?(
        _ arguments: HubArguments, output: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(TuttiError) {
        guard arguments.isWanted else { return nil }
        var settings = HubSettings(environment)
        if let token = arguments.token { settings.token = token }
        let name = output.split(separator: "/").last.map(String.init) ?? output
        let id = arguments.modelID ?? name
        guard HubRepository.isID(id) else {
            throw TuttiError(
                .usage, "push to the hub", "args.hub_model_id",
                "'\(id)', the name of output_dir, is not an id of the hub",
                hint: "Set hub_model_id: organization/name.")
        }
        guard settings.token != nil else {
            throw TuttiError(
                .usage, "push to the hub", "args.push_to_hub", "there is no token to push with",
                hint: "Set HF_TOKEN to a token that may write, or log in with 'hf auth login'.")
        }
        (self.arguments, self.output, self.id, self.settings) = (arguments, output, id, settings)
    }

    // MARK: What a run tells

    func stepped(_ progress: StepProgress) { showNotices() }

    func logged(_ line: LogLine) { showNotices() }

    func saved(_ path: String) {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        if name == "final" {
            submit(path, message: "End of training", checkpoint: nil)
        } else if arguments.strategy != .end {
            let step = name.split(separator: "-").last.map(String.init) ?? name
            let inside: String? =
                switch arguments.strategy {
                case .checkpoint: "last-checkpoint"
                case .allCheckpoints: name
                default: nil
                }
            submit(path, message: "Training in progress, step \(step)", checkpoint: inside)
        }
        showNotices()
    }

    /// Waits for what is under way, and says what was not pushed.
    func finished() {
        condition.lock()
        while isBusy || !waiting.isEmpty { condition.wait() }
        let failure = failed
        condition.unlock()
        showNotices()
        guard let failure else { return }
        tell(
            "Not pushed to the hub: \(failure.folder) (\(failure.problem)). This pushes it: "
                + "tutti push \(failure.folder) \(id)" + (arguments.revision.map { " --revision \($0)" } ?? ""))
    }

    // MARK: The thread

    /// Has `path` pushed, unless an earlier push is still under way and another one will follow.
    private func submit(_ path: String, message: String, checkpoint: String?) {
        let isFinal = checkpoint == nil && path.hasSuffix("/final")
        condition.lock()
        let isLeftOut = (isBusy || !waiting.isEmpty) && !arguments.alwaysPushes && !isFinal
        condition.unlock()
        if isLeftOut { return }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let stage = "\(output)/\(name)-push.tmp"
        do {
            try AtomicWrite.removeTree(stage)
            try HubPushes.link(path, to: stage)
        } catch {
            return note("\(path) is not pushed to the hub: \(TuttiError(error).problem).")
        }
        let push = Push(folder: stage, source: path, message: message, checkpoint: checkpoint)
        condition.withLock {
            waiting.append(push)
            guard !isBusy else { return }
            isBusy = true
            let thread = Thread { self.work() }
            thread.name = "tutti-hub"
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// The thread's work: pushes until none waits.
    private func work() {
        while true {
            condition.lock()
            guard !waiting.isEmpty else {
                isBusy = false
                condition.broadcast()
                condition.unlock()
                return
            }
            let push = waiting.removeFirst()
            condition.unlock()
            var failure: TuttiError?
            do throws(HubFailure) { try send(push) } catch { failure = error.error }
            do throws(TuttiError) { try AtomicWrite.removeTree(push.folder) } catch {}  // the next run removes it
            condition.withLock {
                failed = failure.map { (push.source, $0.problem) }
                guard let failure else { return }
                notices.append("\(push.source) could not be pushed to the hub, and training goes on: \(failure)")
            }
        }
    }

    private func send(_ push: Push) throws(HubFailure) {
        let uploader = HubUploader(HubClient(settings), notice: { _ in })
        let repository: HubRepository
        if let known = condition.withLock({ self.repository }) {
            repository = known
        } else {
            repository = try uploader.create(id, isPrivate: arguments.isPrivate)
            if let branch = arguments.revision { try uploader.branch(branch, of: repository) }
            condition.withLock { self.repository = repository }
        }
        let branch = arguments.revision ?? "main"
        let done = try uploader.push(
            push.folder, to: repository, revision: branch, message: push.message
        ) { HubPushes.ofCheckpoints.contains($0) }
        if let place = push.checkpoint {
            let message = "\(push.message), checkpoint"
            _ = try uploader.push(
                push.folder, to: repository, revision: branch, message: message, prefix: place + "/")
        }
        note("Pushed \(push.source) to \(done.url).")
    }

    private func note(_ line: String) { condition.withLock { notices.append(line) } }

    private func showNotices() {
        let lines = condition.withLock {
            defer { notices = [] }
            return notices
        }
        lines.forEach(tell)
    }

    /// Makes `target` a folder with the files of `source`: links where the file system has them, else copies.
    private static func link(_ source: String, to target: String) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: target, withIntermediateDirectories: true)
        for path in try files.subpathsOfDirectory(atPath: source) {
            var isFolder: ObjCBool = false
            guard files.fileExists(atPath: source + "/" + path, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                try files.createDirectory(atPath: target + "/" + path, withIntermediateDirectories: true)
            } else if Foundation.link(source + "/" + path, target + "/" + path) != 0 {
                try files.copyItem(atPath: source + "/" + path, toPath: target + "/" + path)
            }
        }
    }
}
