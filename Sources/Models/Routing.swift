// Which route of a model encodes a text: by its task ("query", "document"), as a Router of sentence-transformers chooses.
//
// Every text has the modality "text". The mappings are asked from the most to the least exact, then a route called as the
// task, then one called "text"; only a text without a task falls back to the default route. A model without a Router has
// one route, and tasks mean nothing to it.
//
// Reference: Router._resolve_route in sentence_transformers/base/modules/router.py.

import TuttiGround

/// The choice of a route by task.
package struct Routing: Sendable, Equatable {
    /// A key of route_mappings; nil = any.
    package struct Key: Sendable, Hashable {
        /// The task of a text.
        package let task: String?
        /// What kind of input: a text's is "text".
        package let modality: String?
    }

    /// The names of the routes; none of a model without a Router.
    package let names: [String]
    /// The route of texts without a task; nil = there is none.
    package let defaultRoute: Int?
    /// Routes by task and modality.
    package let mappings: [Key: Int]

    /// The routing of a model without a Router.
    package static let single = Routing(names: [], defaultRoute: 0, mappings: [:])

    /// True of a model with a Router.
    package var hasRouter: Bool { !names.isEmpty }

    /// The route of texts with this task.
    ///
    /// Throws: `.usage` that lists the routes, where none is meant.
    package func route(of task: String?) throws(TuttiError) -> Int {
        guard hasRouter else { return 0 }
        for key in [Key(task: task, modality: "text"), Key(task: task, modality: nil)] {
            if let route = mappings[key] { return route }
        }
        for key in [Key(task: nil, modality: "text"), Key(task: nil, modality: nil)] {
            if let route = mappings[key] { return route }
        }
        if let task, let route = names.firstIndex(of: task) { return route }
        if let route = names.firstIndex(of: "text") { return route }
        if task == nil, let defaultRoute { return defaultRoute }
        let tasks = (names + mappings.keys.compactMap(\.task)).reduce(into: [String]()) {
            if !$0.contains($1) { $0.append($1) }
        }
        guard let task else {
            throw TuttiError(
                .usage, "choose a route", "task", "is missing, and the model's Router has no default route",
                hint: "Its tasks: \(tasks.joined(separator: ", ")).")
        }
        throw TuttiError(
            .usage, "choose a route", "task", "'\(task)' has no route in the model's Router",
            hint: TuttiError.hint(unknown: task, known: tasks))
    }
}
