// Rotary positions by the keys of config.json, in the spelling of transformers 5 (rope_parameters) and the older one
// (rope_theta beside rope_scaling).
//
// A scaling that is not computed is refused by its name. partial_rotary_factor belongs to the type "proportional": the
// classes of the families here rotate whole heads with every other type.
// Reference: transformers/modeling_rope_utils.py; the scalings themselves are in Parts/RotaryScaling.swift.

import Glibc
import TuttiGround

/// The base and scaling of a rotation.
struct RotarySettings: Sendable, Equatable {
    /// The base; nil = the family's.
    var theta: Double?
    /// The type of scaling, by its name, and its numbers by theirs.
    var type = "default"
    var numbers: [String: Double] = [:]
    /// The divisors of longrope, for texts within the positions of training and beyond.
    var divisors: [String: [Double]] = [:]
    /// Whether yarn blends between whole pairs.
    var truncates = true
    /// original_max_position_embeddings beside the object, which is before the one inside.
    var trainedPositions: Int?

    private static let types = [
        "default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional", "ntk",
    ]
    private static let names = [
        "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "attention_factor",
        "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "partial_rotary_factor",
    ]
    private static let lists = ["short_factor", "long_factor"]

    /// The plan for heads of `width` in texts of up to `positions` tokens.
    ///
    /// - Parameters:
    ///   - defaultTheta: the family's base.
    ///   - key: where the settings are, for messages.
    ///   - knowsNTK: whether "ntk" is a scaling of the family's, as transformers has none of that name.
    /// - Throws: a missing number, or one that no rotation can be made of, under `key`.
    func plan(
        width: Int, theta defaultTheta: Double, positions: Int, key: String = "rope_parameters", knowsNTK: Bool = false
    ) throws(TuttiError) -> RotaryPlan {
        guard width > 0, width % 2 == 0 else {
            throw planError(
                key, "rotates \(width) numbers of a head", hint: "An even number of them can be rotated.")
        }
        let part = numbers["partial_rotary_factor"] ?? 1
        guard part == 1 || type == "proportional" && part < 1 else {
            throw planError("\(key).partial_rotary_factor", "is \(part), where whole heads are rotated")
        }
        func number(_ name: String) throws(TuttiError) -> Double {
            guard let value = numbers[name] else {
                throw planError("\(key).\(name)", "must be a number above 0 where rope_type is \(type)")
            }
            return value
        }
        let trained = trainedPositions.map(Double.init) ?? numbers["original_max_position_embeddings"]
        let base = theta ?? defaultTheta
        var plan = RotaryPlan(theta: base, width: width)
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
                factor: try number("factor"), low: low, high: high, trainedPositions: trained ?? Double(positions))
        case "yarn":
            guard base > 1 else { throw planError("\(key).rope_theta", "is \(base)", hint: "It must be above 1.") }
            let trained = trained ?? Double(positions)
            let factor = numbers["factor"] ?? Double(positions) / trained
            plan.scaling = .yarn(
                factor: factor, theta: base, width: width, fast: numbers["beta_fast"] ?? 32,
                slow: numbers["beta_slow"] ?? 1, trainedPositions: trained, truncates: truncates)
            plan.factor = Float(numbers["attention_factor"] ?? yarnFactor(factor))
        case "longrope":
            let trained = trained ?? Double(positions)
            for name in Self.lists where divisors[name]?.count != width / 2 {
                throw planError(
                    "\(key).\(name)", "has \(divisors[name]?.count ?? 0) numbers",
                    hint: "Heads of \(width) numbers take \(width / 2).")
            }
            let factor = numbers["factor"] ?? Double(positions) / trained
            plan.scaling = .longRope(divisors: (divisors["short_factor"] ?? []).map(Float.init))
            plan.factor = Float(
                numbers["attention_factor"] ?? (factor <= 1 ? 1 : (1 + log(factor) / log(trained)).squareRoot()))
            plan.longest = Int(min(Double(positions), trained))
        case "proportional":
            plan.scaling = .proportional(factor: numbers["factor"] ?? 1, pairs: Int(part * Double(width) / 2))
        default: break
        }
        guard plan.frequencies.allSatisfy(\.isFinite), plan.factor.isFinite, plan.longest > 0 else {
            throw planError(key, "gives frequencies that are not finite, or no positions")
        }
        return plan
    }

    /// The factor of cosines and sines that yarn derives from that of the positions.
    private func yarnFactor(_ factor: Double) -> Double {
        func scale(_ multiple: Double) -> Double { factor <= 1 ? 1 : 0.1 * multiple * log(factor) + 1 }
        guard let over = numbers["mscale"], let under = numbers["mscale_all_dim"] else { return scale(1) }
        return scale(over) / scale(under)
    }

    /// The keys of one rotation for all layers.
    static func options<Owner>(at path: WritableKeyPath<Owner, RotarySettings> & Sendable) -> [Option<Owner>] {
        [
            Option<RotarySettings>("rope_theta", \.theta, "base of the rotary frequencies", check: .positive)
                .lifted(to: path),
            nested("rope_parameters", "base and scaling of the rotary frequencies", at: path),
            nested("rope_scaling", "scaling of the rotary frequencies, as older files have it", at: path),
            Option<RotarySettings>(
                "original_max_position_embeddings", \.trainedPositions,
                "positions of training, of the scalings that ask for them", check: .atLeast(1)
            ).lifted(to: path),
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
                        guard value["truncate"]?.bool ?? true else {
                            throw OptionProblem("is not read where kinds of layers differ", at: "truncate")
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
            case "truncate":
                guard let flag = value.bool else { throw .expected(Bool.words, found: value, at: key) }
                truncates = flag
            case _ where Self.names.contains(key): numbers[key] = try Self.positive(value, key)
            case _ where Self.lists.contains(key):
                guard let items = value.array else { throw .expected("a list of numbers", found: value, at: key) }
                var list: [Double] = []
                for item in items { list.append(try Self.positive(item, key)) }
                divisors[key] = list
            default:
                throw OptionProblem(
                    "unknown key",
                    hint: TuttiError.hint(
                        unknown: key, known: ["rope_type", "rope_theta", "truncate"] + Self.names + Self.lists),
                    at: key)
            }
        }
    }

    /// The object that `read` takes.
    var json: JSONValue {
        var object: JSONObject = ["rope_type": .string(type)]
        if let theta { object["rope_theta"] = .number(theta) }
        for (name, number) in numbers.sorted(by: { $0.key < $1.key }) { object[name] = .number(number) }
        for (name, list) in divisors.sorted(by: { $0.key < $1.key }) {
            object[name] = .array(list.map(JSONValue.number))
        }
        if !truncates { object["truncate"] = .bool(false) }
        return .object(object)
    }

    private static func positive(_ json: JSONValue, _ key: String) throws(OptionProblem) -> Double {
        guard let number = json.double, number > 0, number.isFinite else {
            throw .expected("a number above 0", found: json, at: key)
        }
        return number
    }
}
