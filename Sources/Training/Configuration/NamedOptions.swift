// A loss or an evaluator of a configuration: its class name, its options, and where they stand.
//
//   TripletLoss        {name: TripletLoss, triplet_margin: 3}

import TuttiGround

/// A loss or an evaluator as configured.
package struct NamedOptions: Sendable {
    /// The class name.
    package private(set) var name = ""
    /// Every key but `name`.
    package internal(set) var options = JSONObject()
    /// Where it stands in the configuration.
    package private(set) var path = ""
    private var places = ConfigurationPlaces(file: "")

    /// The same, known to stand at `path`.
    func placed(at path: String, _ places: ConfigurationPlaces) -> NamedOptions {
        var placed = self
        (placed.path, placed.places) = (path, places)
        return placed
    }

    /// Its place in the configuration's file.
    var place: String { places.place(path) }

    /// The place of one of its keys.
    func place(of key: String) -> String { places.place("\(path).\(key)") }

    /// A usage error at one of the keys, or at the whole.
    package func error(_ key: String?, _ problem: String, hint: String? = nil) -> TuttiError {
        places.error(key.map { "\(path).\($0)" } ?? path, problem, hint: hint)
    }
}

extension NamedOptions: OptionValue {
    private static let own = OptionList<NamedOptions>([
        Option("name", \.name, "the class name", words: "a name, as in {name: TripletLoss, ...}", isRequired: true)
    ])

    package static var words: String { "{name: ..., options}" }

    /// A name alone, or a mapping.
    package init(option json: JSONValue) throws(OptionProblem) {
        if let name = json.string {
            self.name = name
            return
        }
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        try Self.own.read(object, into: &self)
        options = object
        options["name"] = nil
    }

    package var optionJSON: JSONValue { .object((["name": .string(name)] as JSONObject).merging(options)) }
}
