// docs/configuration.md: everything that a configuration can hold, made of the descriptions that read it.

import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiObjectives
import TuttiTraining

/// The reference of configurations.
enum ConfigurationReference {
    /// The page, in Markdown.
    static var page: String {
        let head = """
            # Configuration

            Everything that the file of `tutti train CONFIG` and `tutti evaluate CONFIG` can hold. It is YAML, so JSON
            too. `tutti args`, `tutti losses NAME` and `tutti evaluators NAME` print the same. This page is made by
            `tutti args --markdown`; a test compares them.

            """
        let sections = [topLevel, datasets, arguments, ignored, refused, card, losses, evaluators]
        return head + sections.joined()
    }

    /// A value as a configuration writes it, for tables.
    static func spelled(_ value: JSONValue) -> String {
        if value.isNull { return "not set" }
        guard let text = value.string, !text.isEmpty else { return value.serialized() }
        return text
    }

    private static var topLevel: String {
        "\n## Top level\n\n"
            + table(
                ["key", "value", "meaning"], TrainingConfiguration.keys.map { [code($0.name), $0.words, $0.meaning] })
    }

    private static var datasets: String {
        """

        ## Data sets

        A data set is a path, or a mapping with these keys. The label is the column called label, labels, score or
        scores; all other columns in use are texts, in their order.


        """
            + table(
                ["key", "value", "meaning"],
                [
                    ["`path`", "a file: .csv, .tsv, .json, .jsonl", "the rows; required"],
                    ["`columns`", "a list of strings", "the columns in use, label included, in order; all by default"],
                    ["`delimiter`", "a character, or tab", "what separates fields, where the extension does not say"],
                    ["`quote`", "a character, or none", "what encloses fields; none: quotes are ordinary characters"],
                    [
                        "`header`", "true, false or a list of strings",
                        "false: there is no header line, and `columns` names all fields; a list names them itself",
                    ],
                ])
    }

    private static var arguments: String {
        let rows = ArgsCommand.entries.filter { $0.kind == "effective" }.map {
            [code($0.name), $0.words, $0.standard ?? "", $0.meaning]
        }
        return "\n## args\n\nThe training arguments, under the names of SentenceTransformerTrainingArguments.\n\n"
            + table(["key", "value", "default", "meaning"], rows)
    }

    private static var ignored: String {
        "\n## Arguments without effect\n\nAccepted with one line where they ask for something.\n\n"
            + table(["key", "why"], reasons("no effect"))
    }

    private static var refused: String {
        "\n## Arguments that are refused\n\nUnless their value asks for nothing (false, null, 0).\n\n"
            + table(["key", "why"], reasons("refused"))
    }

    private static func reasons(_ kind: String) -> [[String]] {
        ArgsCommand.entries.filter { $0.kind == kind }.map { [code($0.name), $0.meaning] }
    }

    private static var card: String {
        "\n## model_card\n\n"
            + table(["key", "value", "meaning"], CardDescription.keys.map { [code($0.name), $0.words, $0.meaning] })
    }

    private static var losses: String {
        "\n## Losses\n" + LossRegistry.all.map { section(CatalogueEntry($0)) }.joined()
            + "\n### Options of all losses\n\n" + options(CatalogueEntry(LossRegistry.all[0]).options, areCommon: true)
    }

    private static var evaluators: String {
        "\n## Evaluators\n" + EvaluatorRegistry.all.map { section(CatalogueEntry($0)) }.joined()
            + "\n### Options of all evaluators\n\n"
            + options(CatalogueEntry(EvaluatorRegistry.all[0]).options, areCommon: true)
    }

    private static func section(_ entry: CatalogueEntry) -> String {
        let own = entry.options.contains { !$0.isCommon } ? "\n" + options(entry.options, areCommon: false) : ""
        let summary = entry.summary.prefix(1).uppercased() + entry.summary.dropFirst()
        return "\n### \(entry.name)\n\n\(summary).\nData: \(entry.data.joined(separator: "; ")).\n\(own)"
    }

    private static func options(_ options: [CatalogueEntry.Option], areCommon: Bool) -> String {
        table(
            ["key", "value", "default", "meaning"],
            options.filter { $0.isCommon == areCommon }.map { [code($0.name), $0.kind, $0.standardWords, $0.meaning] })
    }

    private static func code(_ name: String) -> String { "`\(name)`" }

    private static func table(_ header: [String], _ rows: [[String]]) -> String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        return line(header) + "|" + header.map { _ in " --- |" }.joined() + "\n" + rows.map(line).joined()
    }
}
