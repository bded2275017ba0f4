// The tiny models of Tests/Golden/families.py, read as any model folder is: settings by the family's list of options,
// weights by the names of the checkpoint.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// One model of a family.
struct FamilyGolden: Sendable, CustomTestStringConvertible {
    let name: String
    let configuration: JSONObject

    /// Every model there is, by name.
    static let all: [FamilyGolden] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Goldens.path("families"))) ?? []
        return names.sorted().compactMap { name in
            let path = Goldens.path("families/\(name)/model/config.json")
            return (try? JSONValue.parse(file: path).object).map { FamilyGolden(name: name, configuration: $0) }
        }
    }()

    var testDescription: String { name }

    /// The value of model_type.
    var modelType: String { configuration["model_type"]?.string ?? "" }

    /// Whether f is smooth along a line: a ReLU has kinks.
    var isSmooth: Bool {
        !["hidden_act", "activation", "feed_forward_proj", "hidden_activation"].contains {
            configuration[$0]?.string == "relu"
        }
    }

    /// What the reference computed.
    func expected() throws -> SafetensorsFile {
        try SafetensorsFile(path: Goldens.path("families/\(name)/expected.safetensors"))
    }

    /// The family's settings, all rates of dropout at `dropout`.
    func settings(dropout: Double = 0) throws -> any EncoderFamily {
        func read<Family: EncoderFamily>(_: Family.Type) throws -> any EncoderFamily {
            var object = configuration
            for key in Family.options.names where key.contains("drop") { object[key] = .number(dropout) }
            var settings = Family()
            try Family.options.read(object, into: &settings)
            return settings
        }
        return try read(EncoderFamilies.named(modelType))
    }

    /// An encoder with the reference's weights and room for gradients of those that are not frozen.
    func encoder(
        heads: [HeadConfiguration], dropout: Double = 0, frozen: Set<String> = []
    ) throws -> SequenceEncoder {
        let encoder = try SequenceEncoder(settings(dropout: dropout).plan(), heads: heads, frozen: frozen)
        let file = try SafetensorsFile(path: Goldens.path("families/\(name)/model/model.safetensors"))
        let family = try EncoderFamilies.named(modelType)
        var missing = Set(encoder.layout.all.map(\.name))
        for info in file.tensors {
            guard let entry = encoder.layout.entry(named: family.canonicalName(info.name)) else { continue }
            #expect(info.shape == entry.shape, "\(entry.name)")
            try file.readFloats(info.name, into: encoder.parameters.values(of: entry))
            missing.remove(entry.name)
        }
        #expect(missing.isEmpty, "\(name): \(missing.sorted())")
        encoder.parameters.allocateGradients()
        return encoder
    }

    /// The packed batch, or those of its sequences that are named, in that order; it holds padding tokens, whose rows have
    /// values but no gradient, unless they are replaced.
    func batch(_ sequences: [Int]? = nil, hasPadding: Bool = true) throws -> PackedBatch {
        let file = try expected()
        let ids = try file.floats("ids").map { hasPadding ? Int32($0) : max(Int32($0), 2) }
        let offsets = try file.floats("offsets").map { Int($0) }
        var batch = PackedBatch()
        for s in sequences ?? Array(0..<offsets.count - 1) {
            batch.append(ids[offsets[s]..<offsets[s + 1]], slot: UInt64(100 + s), column: UInt32(s % 3))
        }
        return batch
    }
}
