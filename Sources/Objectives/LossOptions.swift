// LossOptions: the checked options of one loss, as its maker reads them.

/// The checked options of one loss: every known name has a value of the right kind.
public struct LossOptions: Sendable {
    /// The loss that they belong to.
    public let loss: String

    private let values: [String: LossOption]

    /// Checks given options against the known ones.
    ///
    /// - Parameter known: every option of the loss.
    /// - Throws: `LossError` naming the option, what it takes, and the nearest known name.
    init(_ given: [String: LossOption], loss: String, known: [LossOptionDescription]) throws(LossError) {
        var values: [String: LossOption] = [:]
        for name in given.keys.sorted() {
            guard let value = given[name] else { continue }
            guard let option = known.first(where: { $0.name == name }) else {
                throw LossError(
                    loss: loss, option: name, problem: "unknown option",
                    hint: suggestion(for: name, among: known.map(\.name), "Its options"))
            }
            if value == .null, option.standard != nil {
                if option.takesNull { values[name] = .null }  // elsewhere null is as good as silence
                continue
            }
            if case .choice(let names) = option.kind, case .string(let text) = value, !names.contains(text) {
                throw LossError(
                    loss: loss, option: name, problem: "unknown value \"\(text)\"",
                    hint: suggestion(for: text, among: names, "It takes"))
            }
            guard let accepted = option.kind.accepts(value) else {
                throw LossError(
                    loss: loss, option: name, problem: "expected \(option.kind.words), found \"\(value)\"")
            }
            values[name] = accepted
        }
        for option in known where values[option.name] == nil {
            guard let standard = option.standard else {
                throw LossError(
                    loss: loss, option: option.name, problem: "is missing: \(option.meaning)",
                    hint: "It takes \(option.kind.words).")
            }
            values[option.name] = standard
        }
        self.loss = loss
        self.values = values
    }

    /// Whether the option has a value.
    func has(_ name: String) -> Bool { value(name) != .null }

    /// The value of an option that takes a number.
    func double(_ name: String) -> Double {
        guard case .double(let value) = value(name) else { preconditionFailure("\(loss).\(name) takes no number") }
        return value
    }

    /// The value of an option that takes a whole number.
    func int(_ name: String) -> Int {
        guard case .int(let value) = value(name) else { preconditionFailure("\(loss).\(name) takes no whole number") }
        return value
    }

    /// The value of an option that takes true or false.
    func bool(_ name: String) -> Bool {
        guard case .bool(let value) = value(name) else { preconditionFailure("\(loss).\(name) is no switch") }
        return value
    }

    /// The value of an option that takes a name.
    func string(_ name: String) -> String {
        guard case .string(let value) = value(name) else { preconditionFailure("\(loss).\(name) takes no name") }
        return value
    }

    /// The values of an option that takes whole numbers.
    func ints(_ name: String) -> [Int] {
        list(name).map { if case .int(let value) = $0 { value } else { preconditionFailure("\(loss).\(name): no ints") } }
    }

    /// The values of an option that takes numbers.
    func doubles(_ name: String) -> [Double] {
        list(name).map {
            if case .double(let value) = $0 { value } else { preconditionFailure("\(loss).\(name): no numbers") }
        }
    }

    /// The values of an option that takes names.
    func strings(_ name: String) -> [String] {
        list(name).map {
            if case .string(let value) = $0 { value } else { preconditionFailure("\(loss).\(name): no names") }
        }
    }

    /// The case of an enumeration that an option names, as Python shows it: what stands before the last dot is the
    /// name of a type or a module and does not matter.
    func member<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, of type: Choice.Type, synonyms: [String: Choice] = [:]
    ) throws(LossError) -> Choice {
        let text = string(name)
        let bare = text.split(separator: ".").last.map(String.init) ?? text
        if let choice = Choice(rawValue: bare) ?? synonyms[bare] { return choice }
        throw error(
            name, "unknown value \"\(text)\"",
            hint: suggestion(for: bare, among: Choice.allCases.map(\.rawValue), "It takes"))
    }

    /// The loss that an option holds.
    func loss(_ name: String) throws(LossError) -> ConfiguredLoss {
        guard case .loss(let specification) = value(name) else { preconditionFailure("\(loss).\(name): no loss") }
        return try LossOptions.make(specification, at: name)
    }

    /// The losses that an option holds.
    func losses(_ name: String) throws(LossError) -> [ConfiguredLoss] {
        var made: [ConfiguredLoss] = []
        for (place, item) in list(name).enumerated() {
            guard case .loss(let specification) = item else { preconditionFailure("\(loss).\(name): no losses") }
            made.append(try LossOptions.make(specification, at: "\(name).\(place)"))
        }
        return made
    }

    /// A number above zero.
    func positive(_ name: String) throws(LossError) -> Double {
        let value = double(name)
        guard value.isFinite, value > 0 else { throw error(name, "\(value) is not a positive number") }
        return value
    }

    /// A number of at least zero.
    func nonNegative(_ name: String) throws(LossError) -> Double {
        let value = double(name)
        guard value.isFinite, value >= 0 else { throw error(name, "\(value) is negative or not a number") }
        return value
    }

    /// An error about one of the options.
    func error(_ option: String, _ problem: String, hint: String? = nil) -> LossError {
        LossError(loss: loss, option: option, problem: problem, hint: hint)
    }

    private func value(_ name: String) -> LossOption {
        guard let value = values[name] else { preconditionFailure("\(loss) declares no option \(name)") }
        return value
    }

    private func list(_ name: String) -> [LossOption] {
        guard case .list(let values) = value(name) else { preconditionFailure("\(loss).\(name) takes no list") }
        return values
    }

    private static func make(_ specification: LossSpecification, at place: String) throws(LossError) -> ConfiguredLoss {
        do {
            return try LossRegistry.make(specification)
        } catch {
            var outer = error
            outer.option = error.option.map { "\(place).\($0)" } ?? place
            throw outer
        }
    }
}
