// The prompts of training and evaluation texts, `args.prompts`, in the reference's four forms: one for all texts, by
// column, by data set, or by data set and column. A data set's own entry comes before one that names a column.

import TuttiFormats
import TuttiGround

/// Which prompt stands before the texts of which column.
public struct TrainingPrompts: Sendable, Equatable {
    /// The prompts under one key: the same for all columns, or by column.
    enum Entry: Sendable, Equatable {
        case text(String)
        case byColumn([String: String])
    }

    private var everywhere = ""
    /// By column or by data set.
    private var entries: [String: Entry] = [:]

    /// No prompts.
    public init() {}

    /// One prompt for all texts.
    public init(_ text: String) { everywhere = text }

    /// Prompts by column, the same in all data sets.
    public init(byColumn prompts: [String: String]) { entries = prompts.mapValues(Entry.text) }

    /// The prompt of every column of a data set; empty for none.
    package func prompts(dataset: String?, columns: [String]) -> [String] {
        switch dataset.flatMap({ entries[$0] }) {
        case .text(let prompt)?: return columns.map { _ in prompt }
        case .byColumn(let prompts)?: return columns.map { prompts[$0] ?? "" }
        case nil: break
        }
        return columns.map { column in
            if case .text(let prompt)? = entries[column] { return prompt }
            return everywhere
        }
    }

    /// Refuses a key that is neither a data set nor a column: its prompt would stand nowhere.
    ///
    /// Throws: `.usage` with the nearest name.
    func check(
        datasets: [(name: String?, columns: [String])], places: ConfigurationPlaces
    ) throws(TuttiError) {
        func refused(_ key: String, _ problem: String, _ known: [String]) -> TuttiError {
            TuttiError(
                .usage, "read the configuration", places.place("args.prompts.\(key)"), problem,
                hint: TuttiError.hint(unknown: key, known: known))
        }
        let names = datasets.compactMap(\.name)
        let columns = datasets.flatMap(\.columns)
        for (key, entry) in entries.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .text:
                guard names.contains(key) || columns.contains(key) else {
                    let kinds = names.isEmpty ? "no text column" : "neither a data set nor a text column"
                    throw refused(key, "there is \(kinds) of this name", unique(names + columns))
                }
            case .byColumn(let prompts):
                guard names.contains(key) else {
                    throw refused(
                        key, "there is no data set of this name", names.isEmpty ? unique(columns) : unique(names))
                }
                let own = datasets.filter { $0.name == key }.flatMap(\.columns)
                for column in prompts.keys.sorted() where !own.contains(column) {
                    throw refused("\(key).\(column)", "the data set has no text column of this name", unique(own))
                }
            }
        }
    }

    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}

extension TrainingPrompts: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "a string, or a mapping of columns or data sets to strings" }

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        if let text = json.string {
            everywhere = text
            return
        }
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        func text(_ value: JSONValue, at path: String) throws(OptionProblem) -> String {
            if value.isNull { return "" }
            guard let text = value.string else { throw .expected("a string", found: value, at: path) }
            return text
        }
        for (key, value) in object {
            if let inner = value.object {
                var byColumn: [String: String] = [:]
                for (column, prompt) in inner { byColumn[column] = try text(prompt, at: "\(key).\(column)") }
                entries[key] = .byColumn(byColumn)
            } else {
                entries[key] = .text(try text(value, at: key))
            }
        }
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue {
        if entries.isEmpty { return everywhere.isEmpty ? .null : .string(everywhere) }
        var object = JSONObject()
        for (key, entry) in entries.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .text(let prompt): object[key] = .string(prompt)
            case .byColumn(let prompts):
                var inner = JSONObject()
                for (column, prompt) in prompts.sorted(by: { $0.key < $1.key }) { inner[column] = .string(prompt) }
                object[key] = .object(inner)
            }
        }
        return .object(object)
    }
}
