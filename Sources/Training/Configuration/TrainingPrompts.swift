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

    /// Reads `args.prompts`.
    init(_ section: ConfigurationSection) throws(TuttiError) {
        if let text = section.object["prompts"]?.string {
            everywhere = text
        } else if let prompts = try section.section("prompts") {
            for key in prompts.object.keys {
                if prompts.object[key]?.object != nil, let inner = try prompts.section(key) {
                    var byColumn: [String: String] = [:]
                    for column in inner.object.keys { byColumn[column] = try inner.string(column) ?? "" }
                    entries[key] = .byColumn(byColumn)
                } else {
                    entries[key] = .text(try prompts.string(key) ?? "")
                }
            }
        }
    }

    /// The prompt of every column of a data set; empty for none.
    public func prompts(dataset: String?, columns: [String]) -> [String] {
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

    /// The prompts as a model card lists them.
    var listed: String {
        if entries.isEmpty { return everywhere.isEmpty ? "[]" : everywhere }
        func pairs(_ prompts: [String: String]) -> String {
            "\(prompts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })"
        }
        let texts = entries.mapValues { entry in
            switch entry {
            case .text(let prompt): prompt
            case .byColumn(let prompts): pairs(prompts)
            }
        }
        return pairs(texts)
    }

    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
