// Options of commands that read tables: the format of a .csv or .tsv file.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround

/// The format of a .csv or .tsv file, if it differs from the extension.
struct TableOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Field separator, as in --delimiter tab.", valueName: "character"))
    var delimiter: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Quote character; none: quotes are ordinary characters.", valueName: "character|none"))
    var quote: String?

    @Option(help: ArgumentHelp("Names of all fields of a table without a header line.", valueName: "name,name,..."))
    var header: String?

    /// The readers' options.
    ///
    /// Throws: `.usage` naming the option.
    func readerOptions() throws(TuttiError) -> ReaderOptions {
        let names = header.map { $0.split(separator: ",", omittingEmptySubsequences: false).map { String($0) } }
        return try ReaderOptions(
            { key in
                switch key {
                case "delimiter": delimiter.map { .string($0) }
                case "quote": quote.map { .string($0) }
                default: names.map { .array($0.map { .string($0) }) }
                }
            },
            error: { key, problem, hint in TuttiError(.usage, "read the options", "--\(key)", problem, hint: hint) })
    }

    /// Prints a reader's warning to standard error, apart from results.
    static func notice(_ line: String) { Output.say("tutti: note: \(line)") }
}
