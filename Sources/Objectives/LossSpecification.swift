// A loss as a configuration asks for it: by name, with options.

import TuttiGround

/// A loss by name with the options given to it.
public struct LossSpecification: Sendable, Equatable, CustomStringConvertible {
    /// The class name.
    public var name: String

    /// The options that are given.
    public var options: JSONObject

    /// A loss by name.
    public init(name: String, options: JSONObject = JSONObject()) {
        self.name = name
        self.options = options
    }

    /// As a configuration spells it.
    public var description: String { optionJSON.configurationText }

    /// The loss inside another one, whose option `place` it is.
    func make(at place: String, in outer: String) throws(TuttiError) -> ConfiguredLoss {
        do {
            return try LossRegistry.make(self)
        } catch let flaw {
            var error = flaw
            let key = flaw.subject.split(separator: ".", maxSplits: 1).dropFirst().first.map { ".\($0)" } ?? ""
            error.subject = "\(outer).\(place)\(key)"
            throw error
        }
    }
}

extension LossSpecification: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "a loss: {name: ..., ...}" }

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        if let name = json.string {
            self.init(name: name)
            return
        }
        guard var options = json.object, let name = options["name"]?.string else {
            throw .expected(Self.words, found: json)
        }
        options["name"] = nil
        self.init(name: name, options: options)
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue {
        if options.isEmpty { return .string(name) }
        var object: JSONObject = ["name": .string(name)]
        for (key, value) in options { object[key] = value }
        return .object(object)
    }
}

extension JSONValue {
    /// A loss with its options, as a configuration writes it.
    public static func loss(_ specification: LossSpecification) -> JSONValue { specification.optionJSON }
}
