// `args.router_mapping`: the task of each text column, which chooses its route through a model with a Router. As in the
// reference by column, or by data set and column; a column that is not named has no task and takes the default route.
//
// Reference: BaseDataCollator._resolve_router_mapping in sentence_transformers/base/data_collator.py.

import TuttiFormats
import TuttiGround
import TuttiModels

/// Which task the texts of which column have.
public struct RouterMapping: Sendable, Equatable {
    /// Tasks by column, the same in all data sets.
    private var everywhere: [String: String] = [:]
    /// Tasks by data set and column; nil where they are the same in all.
    private var byDataset: [String: [String: String]]?

    /// No tasks.
    public init() {}

    /// Tasks by column, the same in all data sets.
    public init(byColumn tasks: [String: String]) { everywhere = tasks }

    /// Tasks by data set and column.
    public init(byDataset tasks: [String: [String: String]]) { byDataset = tasks }

    /// Whether no column has a task.
    public var isEmpty: Bool { everywhere.isEmpty && (byDataset?.isEmpty ?? true) }

    /// The task of every column of a data set; nil for none.
    package func tasks(dataset: String?, columns: [String]) -> [String?] {
        let tasks = byDataset.map { all in dataset.flatMap { all[$0] } ?? [:] } ?? everywhere
        return columns.map { tasks[$0] }
    }

    /// Refuses a key that is neither a data set nor a column, and a task that `routing` has no route for.
    ///
    /// Throws: `.usage` with the nearest name, or the routes.
    func check(
        datasets: [(name: String?, columns: [String])], routing: Routing, places: ConfigurationPlaces
    ) throws(TuttiError) {
        func refused(_ key: String?, _ problem: String, _ hint: String?) -> TuttiError {
            TuttiError(
                .usage, "read the configuration", places.place("args.router_mapping" + (key.map { ".\($0)" } ?? "")),
                problem, hint: hint)
        }
        let columns = datasets.flatMap(\.columns)
        for column in everywhere.keys.sorted() where !columns.contains(column) {
            throw refused(
                column, "there is no text column of this name", TuttiError.hint(unknown: column, known: columns))
        }
        let names = datasets.compactMap(\.name)
        for (name, tasks) in (byDataset ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard names.contains(name) else {
                throw refused(
                    name, "there is no data set of this name", TuttiError.hint(unknown: name, known: names))
            }
            let own = datasets.filter { $0.name == name }.flatMap(\.columns)
            for column in tasks.keys.sorted() where !own.contains(column) {
                throw refused(
                    "\(name).\(column)", "the data set has no text column of this name",
                    TuttiError.hint(unknown: column, known: own))
            }
        }
        guard routing.hasRouter else { return }
        guard !isEmpty else {
            throw refused(
                nil, "is missing, and the model has a Router",
                "Map each text column to a task: \(routing.names.joined(separator: ", ")).")
        }
        for (name, columns) in datasets {
            for (column, task) in zip(columns, tasks(dataset: name, columns: columns)) {
                do { _ = try routing.route(of: task) } catch {
                    let place = byDataset == nil ? column : "\(name ?? "").\(column)"
                    throw refused(place, error.problem, error.hint)
                }
            }
        }
    }
}

extension RouterMapping: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "a mapping of columns to tasks, or of data sets to such mappings" }

    /// Reads the value as a configuration writes it: a mapping, or the text of one in JSON.
    public init(option json: JSONValue) throws(OptionProblem) {
        var json = json
        if let text = json.string {
            do { json = try JSONValue.parse(Array(text.utf8), source: "router_mapping") } catch {
                throw .expected(Self.words, found: json)
            }
        }
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        func tasks(_ object: JSONObject, in name: String?) throws(OptionProblem) -> [String: String] {
            var tasks: [String: String] = [:]
            for (column, value) in object {
                guard let task = value.string else {
                    throw .expected("a task", found: value, at: name.map { "\($0).\(column)" } ?? column)
                }
                tasks[column] = task
            }
            return tasks
        }
        guard object.first(where: { _ in true })?.value.object != nil else {
            everywhere = try tasks(object, in: nil)
            return
        }
        var all: [String: [String: String]] = [:]
        for (name, value) in object {
            guard let inner = value.object else {
                throw .expected("a mapping of columns to tasks", found: value, at: name)
            }
            all[name] = try tasks(inner, in: name)
        }
        byDataset = all
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue {
        func object(_ tasks: [String: String]) -> JSONValue {
            var object = JSONObject()
            for (column, task) in tasks.sorted(by: { $0.key < $1.key }) { object[column] = .string(task) }
            return .object(object)
        }
        guard let byDataset else { return everywhere.isEmpty ? .null : object(everywhere) }
        var all = JSONObject()
        for (name, tasks) in byDataset.sorted(by: { $0.key < $1.key }) { all[name] = object(tasks) }
        return .object(all)
    }
}
