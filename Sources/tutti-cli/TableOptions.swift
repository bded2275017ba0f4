// The options of commands that read tables: how a file of separated values is written.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround

/// How a .csv or .tsv file is written, where it is not as its extension says.
struct TableOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("What separates the fields of a table, as in --delimiter tab.", valueName: "character"))
    var delimiter: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "What encloses fields, or none: quotes are ordinary characters.", valueName: "character|none"))
    var quote: String?

    @Option(help: ArgumentHelp("The names of all fields of a table without a header line.", valueName: "name,name,..."))
    var header: String?

    /// The options as readers take them.
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

    /// Says what is odd in a file, on standard error, away from results.
    static func notice(_ line: String) { Output.show("tutti: \(line)\n", on: STDERR_FILENO) }
}
