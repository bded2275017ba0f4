// Rotary positions by the keys of config.json, in the spelling of transformers 5 (rope_parameters) and the older one
// (rope_theta beside rope_scaling).
//
// Scalings that change the scores, or that need the lengths of a model's training, are refused by name. "dynamic" changes
// nothing up to max_position_embeddings, which is how long a text may be here; beyond, a vector would depend on the other
// texts of its batch.
// Reference: transformers/modeling_rope_utils.py.

import TuttiGround

/// The base and scaling of a rotation.
struct RotarySettings: Sendable, Equatable {
    /// The base; nil = the family's.
    var theta: Double?
    /// The type of scaling, by its name, and its numbers by theirs.
    var type = "default"
    var numbers: [String: Double] = [:]

    private static let types = ["default", "linear", "llama3", "dynamic", "ntk"]
    private static let names = [
        "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "partial_rotary_factor",
    ]

    /// The plan for heads of `width`; `knowsNTK` = "ntk" is a scaling of the family's, as transformers has none of that name.
    ///
    /// Throws: a missing number, or one that no rotation can be made of, under `key`.
    func plan(
        width: Int, theta defaultTheta: Double, key: String = "rope_parameters", knowsNTK: Bool = false
    ) throws(TuttiError) -> RotaryPlan {
        func number(_ name: String) throws(TuttiError) -> Double {
            guard let value = numbers[name], value > 0 else {
                throw planError("\(key).\(name)", "must be a number above 0 where rope_type is \(type)")
            }
            return value
        }
        let rotated = Int(Double(width) * (numbers["partial_rotary_factor"] ?? 1))
        guard rotated > 0, rotated <= width, rotated % 2 == 0 else {
            throw planError(
                key, "rotates \(rotated) of \(width) numbers of a head", hint: "An even number of them can be rotated.")
        }
        var plan = RotaryPlan(theta: theta ?? defaultTheta, width: rotated)
        switch type {
        case "ntk":
            guard knowsNTK else {
                throw planError("\(key).rope_type", "\"ntk\" is not a scaling that this family has")
            }
            plan.scaling = .fixedNTK(factor: try number("factor"))
        case "linear": plan.scaling = .linear(factor: try number("factor"))
        case "llama3":
            let (low, high) = (try number("low_freq_factor"), try number("high_freq_factor"))
            guard low < high else {
                throw planError("\(key).high_freq_factor", "is \(high)", hint: "It must be above low_freq_factor.")
            }
            plan.scaling = .llama3(
                factor: try number("factor"), low: low, high: high,
                trainedPositions: try number("original_max_position_embeddings"))
        default: break
        }
        return plan
    }

    /// The keys of one rotation for all layers.
    static func options<Owner>(at path: WritableKeyPath<Owner, RotarySettings> & Sendable) -> [Option<Owner>] {
        [
            Option<RotarySettings>("rope_theta", \.theta, "base of the rotary frequencies", check: .positive)
                .lifted(to: path),
            nested("rope_parameters", "base and scaling of the rotary frequencies", at: path),
            nested("rope_scaling", "scaling of the rotary frequencies, as older files have it", at: path),
        ]
    }

    /// An object that describes one rotation.
    static func nested<Owner>(
        _ name: String, _ meaning: String, at path: WritableKeyPath<Owner, RotarySettings> & Sendable
    ) -> Option<Owner> {
        Option(
            name, words: "an object with rope_type (\(types.joined(separator: ", "))) and its numbers", meaning,
            read: { (json, owner) throws(OptionProblem) in
                if !json.isNull { try owner[keyPath: path].read(json) }
            }, write: { owner in owner[keyPath: path].json })
    }

    /// An object that describes the rotations of both kinds of layers.
    static func byKind<Owner>(
        full: WritableKeyPath<Owner, RotarySettings> & Sendable,
        sliding: WritableKeyPath<Owner, RotarySettings> & Sendable
    ) -> Option<Owner> {
        Option(
            "rope_parameters", words: "an object with full_attention and sliding_attention",
            "bases and scalings of both kinds of layers",
            read: { (json, owner) throws(OptionProblem) in
                guard !json.isNull else { return }
                guard let object = json.object else { throw .expected("an object", found: json) }
                for (key, value) in object where !value.isNull {
                    do throws(OptionProblem) {
                        switch LayerKind(rawValue: key) {
                        case .full: try owner[keyPath: full].read(value)
                        case .sliding: try owner[keyPath: sliding].read(value)
                        case nil: throw OptionProblem("is not a kind of layers")
                        }
                    } catch let flaw {
                        throw flaw.inside(key)
                    }
                }
            },
            write: { owner in
                .object([
                    LayerKind.full.rawValue: owner[keyPath: full].json,
                    LayerKind.sliding.rawValue: owner[keyPath: sliding].json,
                ])
            })
    }

    /// Takes over what an object says.
    mutating func read(_ json: JSONValue) throws(OptionProblem) {
        guard let object = json.object else { throw .expected("an object", found: json) }
        for (key, value) in object where !value.isNull {
            switch key {
            case "rope_type", "type":
                guard let name = value.string, Self.types.contains(name) else {
                    throw OptionProblem(
                        "\(value.configurationText) is not a scaling that can be computed",
                        hint: "Known: \(Self.types.joined(separator: ", ")).", at: key)
                }
                type = name
            case "rope_theta": theta = try Self.positive(value, key)
            case _ where Self.names.contains(key): numbers[key] = try Self.positive(value, key)
            default:
                throw OptionProblem(
                    "unknown key",
                    hint: TuttiError.hint(unknown: key, known: ["rope_type", "rope_theta"] + Self.names),
                    at: key)
            }
        }
    }

    /// The object that `read` takes.
    var json: JSONValue {
        var object: JSONObject = ["rope_type": .string(type)]
        if let theta { object["rope_theta"] = .number(theta) }
        for (name, number) in numbers.sorted(by: { $0.key < $1.key }) { object[name] = .number(number) }
        return .object(object)
    }

    private static func positive(_ json: JSONValue, _ key: String) throws(OptionProblem) -> Double {
        guard let number = json.double, number > 0, number.isFinite else {
            throw .expected("a number above 0", found: json, at: key)
        }
        return number
    }
}
