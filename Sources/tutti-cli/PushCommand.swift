// `tutti push FOLDER ID`: a model folder becomes a commit of a repository on the hub.

import ArgumentParser
import Foundation
import TuttiGround
import TuttiHub

struct PushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Push a folder to the Hugging Face hub.",
        discussion: """
            Makes the repository if it is not there, and one commit of the files that it does not have yet: a push that \
            broke off is simply begun again. HF_TOKEN, or a login, must be allowed to write; HF_ENDPOINT names a mirror.
            """)

    @Argument(help: ArgumentHelp("The folder, such as output_dir/final.", valueName: "folder"))
    var folder: String

    @Argument(help: ArgumentHelp("organization/name; a name alone is one of your own.", valueName: "id"))
    var id: String

    @Flag(help: "Make the repository private, if it is made.")
    var `private` = false

    @Option(help: ArgumentHelp("Branch, made if it is not there (default: main).", valueName: "name"))
    var revision: String?

    @Option(help: ArgumentHelp("Message of the commit.", valueName: "text"))
    var message = "Add new SentenceTransformer model"

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let uploader = HubUploader(HubClient(HubSettings())) { Output.say("tutti: note: \($0)") }
        let push = try uploader.push(
            folder, to: id, isPrivate: `private` ? true : nil, revision: revision, message: message)
        if json {
            let facts: JSONObject = [
                "url": .string(push.url), "files": .integer(Int64(push.files)),
                "changed": .integer(Int64(push.changed)), "sent": .integer(Int64(push.sent)),
            ]
            return try Output.line(JSONValue.object(facts).serialized())
        }
        try Output.line(
            push.changed == 0
                ? "\(push.url): all \(push.files) files were there already"
                : "\(push.url): \(push.changed) of \(push.files) files are new")
    }
}
