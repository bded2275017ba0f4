// `tutti tokenize`: texts of a file -> token ids, one JSON object per line.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiModels

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Print the token ids of texts, truncated as the model does.",
        discussion: "Prints {\"input_ids\": [...]} per line, in the input's order.")

    @OptionGroup var text: TextInputOptions

    @Option(help: ArgumentHelp("Tokenize as the route of this task does, with a Router.", valueName: "query|document"))
    var task: String?

    @Flag(help: "Also print the tokens.")
    var tokens = false

    func run() throws {
        let model = try SentenceEncoder.load(text.model)
        model.notices.forEach(TableOptions.notice)
        let reader = model.readers[try model.directory.routing.route(of: task)]
        var block = ""
        for line in try text.texts() {
            let ids = reader.ids(of: line)
            block += "{\"input_ids\": [" + ids.map(String.init).joined(separator: ", ") + "]"
            if tokens {
                let spelled = ids.map { JSONValue.string(reader.token($0) ?? "").serialized() }
                block += ", \"tokens\": [" + spelled.joined(separator: ", ") + "]"
            }
            block += "}\n"
            if block.utf8.count > 1 << 16 {
                try Output.write(block)
                block = ""
            }
        }
        try Output.write(block)
    }
}
