// A run of Tests/Golden/cards, and the comparison of its card with the reference's.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

/// Runs for model cards.
enum CardRun {
    /// The configuration of the run `name`, with paths from the root.
    static func configuration(
        _ name: String, _ output: String, _ more: JSONObject = JSONObject()
    ) throws -> TrainingConfiguration {
        var root = try #require(try JSONValue.parse(file: Goldens.path("cards/\(name)/run.json")).object)
        root["output_dir"] = .string(output)
        var args = try #require(root["args"]?.object)
        args["batch_sampler"] = .string("sequential")
        root["args"] = .object(args)
        for (key, value) in more { root[key] = value }
        let absolute = try #require(placed(.object(root)).object)
        return try TrainingConfiguration(absolute, places: ConfigurationPlaces(file: name), purpose: .training) { _ in }
    }

    private static func placed(_ value: JSONValue) -> JSONValue {
        guard let object = value.object else { return value.array.map { JSONValue.array($0.map(placed)) } ?? value }
        var result = JSONObject()
        for (key, value) in object {
            let isPath = ["model", "path", "corpus", "queries", "qrels"].contains(key)
            result[key] = isPath ? value.string.map { JSONValue.string(Goldens.path($0)) } ?? value : placed(value)
        }
        return .object(result)
    }

    /// Trains; the card of the final model.
    static func train(_ name: String, _ output: String, _ more: JSONObject = JSONObject()) throws -> String {
        let ensemble = LocalEnsemble.single()
        let inputs = try TrainingInputs(try configuration(name, output, more), ensemble: ensemble)
        #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
        return try String(contentsOfFile: output + "/final/README.md", encoding: .utf8)
    }

    /// The card is that of the folder `golden`, card.md and metadata.json.
    static func expect(
        _ card: String, in golden: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        // Paths are relative there.
        let parts = card.replacing(Goldens.path(""), with: "").components(separatedBy: "---\n")
        let body = parts.dropFirst(2).joined(separator: "---\n")
        var metadata = try #require(try JSONValue.parse(file: golden + "/metadata.json").object)
        let examples = metadata.remove("widget")?.int ?? 0
        var lines = parts[1].split(separator: "\n").map(String.init)
        let widget = lines.firstIndex(of: "widget:") ?? 0
        if examples > 0, let end = lines.firstIndex(where: { $0.hasPrefix("pipeline_tag") }) {
            #expect(lines[widget..<end].count { $0.contains("source_sentence") } == examples, "\(name)")
            lines.removeSubrange(widget..<end)
        }
        // The reference, which asked no hub, does not know whether the ids are right.
        let known = lines.filter { $0 != "datasets:" && !$0.hasPrefix("- sentence-transformers/") }
        expectLines(known, CardYAML.lines(of: metadata), "\(name): metadata", sourceLocation)
        let wanted = sections(try String(contentsOfFile: golden + "/card.md", encoding: .utf8))
        let found = sections(body)
        #expect(found.map(\.heading) == wanted.map(\.heading), "\(name)", sourceLocation: sourceLocation)
        for (own, other) in zip(found, wanted) {
            let place = "\(name): \(own.heading)"
            switch own.heading {
            case "### Framework Versions": #expect(own.lines.contains { $0.hasPrefix("- Tutti: ") }, "\(place)")
            case "### Training Time":
                // The reference forgets the time of evaluations on several data sets.
                let wanted = other.lines.filter { !$0.isEmpty }.map { $0.prefix { $0 != ":" } }
                let kinds = own.lines.prefix(wanted.count).map { $0.prefix { $0 != ":" } }
                #expect(kinds == wanted, "\(place)", sourceLocation: sourceLocation)
                #expect(
                    own.lines.allSatisfy { $0.isEmpty || $0.contains(/: [0-9]+\.[0-9] seconds$/) }, "\(place)",
                    sourceLocation: sourceLocation)
            case "#### All Hyperparameters": expectArguments(own.lines, other.lines, place, sourceLocation)
            case "#### Non-Default Hyperparameters":
                let isShared = { (line: String) in
                    !line.contains("disable_tqdm") && !line.contains("batch_sampler`: seq")
                }
                expectLines(own.lines.filter(isShared), other.lines.filter(isShared), place, sourceLocation)
            case "### Direct Usage (Sentence Transformers)" where examples > 0:
                expectLines(masked(own.lines), masked(other.lines), place, sourceLocation)
            default: expectLines(own.lines, other.lines, place, sourceLocation)
            }
        }
    }

    /// The parts between headings, each with its lines.
    private static func sections(_ text: String) -> [(heading: String, lines: [String])] {
        var sections: [(heading: String, lines: [String])] = [("", [])]
        var isCode = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("```") { isCode.toggle() }
            if line.hasPrefix("#"), !isCode {
                sections.append((line, []))
            } else {
                sections[sections.count - 1].lines.append(line)
            }
        }
        while sections[sections.count - 1].lines.last == "" { sections[sections.count - 1].lines.removeLast() }
        return sections
    }

    /// The code without its texts and what it prints of them.
    private static func masked(_ lines: [String]) -> [String] {
        lines.filter { !$0.hasPrefix("    ") }.map { line in
            line.hasPrefix("# tensor") || line.hasPrefix("#    ") ? "# " + line.replacing(/[^\[\],]/, with: "") : line
        }
    }

    /// Every line is the other's, but for the last digits of numbers.
    private static func expectLines(
        _ own: [String], _ other: [String], _ place: String, _ sourceLocation: SourceLocation
    ) {
        let bound = 1.5e-4
        guard own.count == other.count else {
            let pair = zip(own, other).first { $0 != $1 }
            Issue.record(
                "\(place): \(own.count) lines instead of \(other.count), from \(pair?.0 ?? "?") instead of \(pair?.1 ?? "?")",
                sourceLocation: sourceLocation)
            return
        }
        for (line, wanted) in zip(own, other) where line != wanted {
            let (found, expected) = (numbers(line), numbers(wanted))
            let areClose =
                found.text == expected.text && found.values.count == expected.values.count
                && zip(found.values, expected.values).allSatisfy { abs($0 - $1) <= bound + 1e-5 * abs($1) }
            #expect(areClose, "\(place):\n\(line)\ninstead of\n\(wanted)", sourceLocation: sourceLocation)
        }
    }

    /// The fractions of a line, and the line without them and without blanks and dashes, which make columns.
    private static func numbers(_ line: String) -> (text: String, values: [Double]) {
        let pattern = /-?[0-9]+\.[0-9]+(e-?[0-9]+)?/
        let values = line.matches(of: pattern).compactMap { Double($0.output.0) }
        return (line.replacing(pattern, with: "#").filter { $0 != " " && $0 != "-" }, values)
    }

    /// Arguments that both have, in the same order and with the same values.
    private static func expectArguments(
        _ own: [String], _ other: [String], _ place: String, _ sourceLocation: SourceLocation
    ) {
        func name(_ line: String) -> String { String(line.prefix { $0 != ":" }) }
        let names = (Set(own.map(name)), Set(other.map(name)))
        let shared = own.filter { $0.hasPrefix("- ") && names.1.contains(name($0)) }
        #expect(shared.count > 25, "\(place)", sourceLocation: sourceLocation)
        expectLines(
            shared, other.filter { $0.hasPrefix("- ") && names.0.contains(name($0)) }, place, sourceLocation)
    }
}
