// `tutti download ID`: has a model or a data set of the hub in the local cache, and prints its folder.

import ArgumentParser
import Foundation
import TuttiGround
import TuttiHub

struct DownloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download",
        abstract: "Download a model or a data set of the Hugging Face hub, and print its folder.",
        discussion: """
            The cache is the one of Python's libraries (HF_HUB_CACHE, HF_HOME); what it holds is not downloaded again. Of a \
            model the files that are read come, of a data set the Parquet files of one split, whose paths are printed. \
            HF_TOKEN or a login gives access to private repositories, HF_ENDPOINT names a mirror.
            """)

    @Argument(
        help: ArgumentHelp("organization/name; of a data set also organization/name:configuration.", valueName: "id"))
    var id: String

    @Option(help: ArgumentHelp("Branch, tag or commit (default: main).", valueName: "name"))
    var revision: String?

    @Flag(help: "The id is that of a data set.")
    var dataset = false

    @Option(help: ArgumentHelp("Split of a data set (default: train).", valueName: "name"))
    var split: String?

    func validate() throws {
        guard split == nil || dataset else { throw ValidationError("--split is for data sets: add --dataset") }
        guard revision == nil || !id.contains("@") else { throw ValidationError("the id names a revision already") }
    }

    func run() throws {
        let name = revision.map { "\(id)@\($0)" } ?? id
        let downloader = HubDownloader(HubClient(HubSettings())) { Output.say("tutti: note: \($0)") }
        do throws(HubFailure) {
            if dataset {
                guard let reference = DatasetReference(name) else { throw HubFailure(notAnID) }
                let snapshot = try downloader.dataset(reference, split: split)
                let folder = downloader.folder(of: snapshot, kind: .dataset)
                for file in snapshot.files { try line(folder + "/" + file) }
            } else {
                guard let reference = HubReference(name) else { throw HubFailure(notAnID) }
                try line(downloader.folder(of: try downloader.model(reference)))
            }
        } catch {
            throw error.error
        }
    }

    private func line(_ text: String) throws(HubFailure) {
        do throws(TuttiError) { try Output.line(text) } catch { throw HubFailure(error) }
    }

    private var notAnID: TuttiError {
        TuttiError(
            .usage, "download", id, "is not an id of the hub",
            hint: "Write organization/name, and a revision of letters, digits, '-', '_', '.' and '/'.")
    }
}
