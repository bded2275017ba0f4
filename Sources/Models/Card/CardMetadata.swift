// The YAML at the head of a model card, which model hubs read.
//
// Reference: huggingface.co/docs/hub/model-cards; eval_results_to_model_index in huggingface_hub/repocard_data.py.

import TuttiFormats
import TuttiGround

/// The metadata of a card.
struct CardMetadata {
    let facts: ModelCardFacts
    /// The model's name among evaluation results.
    let title: String

    /// All of it; what is empty is left out.
    var object: JSONObject {
        var object = JSONObject()
        func set(_ key: String, _ texts: [String]) {
            if !texts.isEmpty { object[key] = .array(texts.map(JSONValue.string)) }
        }
        set("language", facts.languages)
        if !facts.license.isEmpty { object["license"] = .string(facts.license) }
        set("tags", tags)
        if !facts.baseModel.isEmpty { object["base_model"] = .string(facts.baseModel) }
        set("datasets", unique((facts.trainDatasets + facts.evalDatasets).map(\.id)))
        let widget = facts.widget.map { example in
            JSONValue.object([
                "source_sentence": .string(example.source),
                "sentences": .array(example.sentences.map(JSONValue.string)),
            ])
        }
        if !widget.isEmpty { object["widget"] = .array(widget) }
        object["pipeline_tag"] = .string("sentence-similarity")
        object["library_name"] = .string("sentence-transformers")
        set("metrics", unique(facts.evaluations.flatMap { $0.metrics.map(\.key) }))
        if !facts.evaluations.isEmpty {
            object["model-index"] = .array([.object(["name": .string(title), "results": .array(results)])])
        }
        return object
    }

    /// The author's, else those of every such model; and those that follow from the run.
    private var tags: [String] {
        var tags =
            facts.tags.isEmpty
            ? ["sentence-transformers", "sentence-similarity", "feature-extraction", "dense"] : facts.tags
        if !facts.trainDatasets.isEmpty {
            tags.append("generated_from_trainer")
            let rows = facts.trainDatasets.reduce(0) { $0 + ($1.rowCount ?? 0) }
            if rows > 0 { tags.append("dataset_size:\(rows)") }
            tags += facts.losses.map { "loss:\($0)" }
        }
        return unique(tags)
    }

    /// The texts that are not empty, each once, in their order.
    private func unique(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { !$0.isEmpty && seen.insert($0).inserted }
    }

    /// Results by task and data; those of the same task on the same data are together.
    private var results: [JSONValue] {
        var groups: [[ModelCardFacts.Evaluation]] = []
        for evaluation in facts.evaluations {
            let place = groups.firstIndex { $0[0].title == evaluation.title && $0[0].dataset == evaluation.dataset }
            if let place { groups[place].append(evaluation) } else { groups.append([evaluation]) }
        }
        return groups.map { group in
            let (task, dataset) = (group[0].title, group[0].dataset)
            let name = dataset.replacing("_", with: " ").replacing("-", with: " ")
            return .object([
                "task": .object([
                    "type": .string(task.lowercased().replacing(" ", with: "-")), "name": .string(task),
                ]),
                "dataset": .object([
                    "name": .string(dataset.isEmpty ? "Unknown" : name),
                    "type": .string(dataset.isEmpty ? "unknown" : dataset),
                ]),
                "metrics": .array(
                    group.flatMap(\.metrics).map { metric in
                        .object([
                            "type": .string(metric.key), "value": .number(metric.value),
                            "name": .string(title(of: metric.key)),
                        ])
                    }),
            ])
        }
    }

    /// A key in words that begin with capitals: every letter after anything but a letter is one.
    private func title(of key: String) -> String {
        var isInside = false
        return String(
            key.map { character -> Character in
                defer { isInside = character.isLetter }
                if character == "_" { return " " }
                return Character(isInside ? character.lowercased() : character.uppercased())
            })
    }
}

/// JSON as YAML, in the layout of PyYAML.
package enum CardYAML {
    /// The lines of a mapping.
    package static func lines(of object: JSONObject) -> [String] {
        object.flatMap { key, value -> [String] in
            switch value {
            case .object(let inner): ["\(scalar(key)):"] + lines(of: inner).map { "  " + $0 }
            case .array(let items) where !items.isEmpty: ["\(scalar(key)):"] + items.flatMap(lines(ofItem:))
            default: ["\(scalar(key)): \(text(of: value))"]
            }
        }
    }

    /// The lines of an item of a list.
    private static func lines(ofItem item: JSONValue) -> [String] {
        guard let object = item.object, !object.isEmpty else { return ["- \(text(of: item))"] }
        return lines(of: object).enumerated().map { ($0.offset == 0 ? "- " : "  ") + $0.element }
    }

    private static func text(of value: JSONValue) -> String {
        switch value {
        case .string(let text): scalar(text)
        case .number(let number) where number.isNaN: ".nan"
        case .number(let number) where number.isInfinite: number < 0 ? "-.inf" : ".inf"
        default: value.serialized()
        }
    }

    /// A text: plain where that is safe, else in double quotes.
    private static func scalar(_ text: String) -> String {
        let safe = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./ @+:".contains($0)) }
        let ambiguous = ["true", "false", "null", "yes", "no", "on", "off"].contains(text.lowercased())
        let startsPlain = text.first?.isLetter ?? false
        if safe, startsPlain, !ambiguous, !text.contains(": "), !text.hasSuffix(":"), !text.hasSuffix(" ") {
            return text
        }
        var quoted = ""
        for scalar in JSONValue.string(text).serialized().unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:  // YAML takes them only escaped
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted
    }
}
