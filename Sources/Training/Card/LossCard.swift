// The options of a loss as a model card of the reference has them: names, order and spelling of its get_config_dict.
//
// Options that the reference does not have are listed after these where they differ from their defaults.
//
// Reference: get_config_dict of the classes in sentence_transformers/sentence_transformer/losses.

import TuttiGround
import TuttiModels
import TuttiObjectives

/// What a card says of a loss.
package struct LossCard {
    private let loss: ConfiguredLoss

    /// The card of `loss`.
    package init(loss: ConfiguredLoss) { self.loss = loss }

    /// The losses, then those inside them, the first of each name.
    static func unique(_ losses: [ConfiguredLoss]) -> [ConfiguredLoss] {
        var (unique, queue) = ([ConfiguredLoss](), losses[...])
        while let loss = queue.popFirst() {
            if !unique.contains(where: { $0.name == loss.name }) { unique.append(loss) }
            queue += loss.loss.nested
        }
        return unique
    }

    /// BibTeX of its paper: of in-batch negatives in several directions, the paper that proposed these; empty for none.
    package var citation: String {
        let entry = LossRegistry.all.first { $0.name == loss.name }?.citation ?? ""
        let known = ["MultipleNegativesRankingLoss", "MultipleNegativesSymmetricRankingLoss"]
        guard known.contains(loss.name), let options = configuration else { return entry }
        let directions = Set((options["directions"]?.array ?? []).compactMap(\.string))
        switch options["partition_mode"]?.string {
        case "joint" where directions.count == 4: return Self.gte
        case "per_direction" where directions == ["query_to_doc", "doc_to_query"]: return Self.jina
        default: return entry
        }
    }

    /// The options; nil for a loss that has none and is not the reference's.
    package var configuration: JSONObject? {
        var options = listed
        adapt(&options)
        if options.isEmpty, loss.name != "ContrastiveTensionLoss" { return nil }
        var object = JSONObject()
        for (name, value) in options { object[name] = value }
        return object
    }

    private typealias Options = [(name: String, value: JSONValue)]

    /// The options that have an effect: those of Tutti alone only where they are given.
    private var listed: Options {
        let own: Set = [
            "positives", "mask_false_negatives", "ring_exchange", "pos_neg_ratio", "use_mini_batched_version",
            "tie_encoder_decoder", "del_ratio", "student_temperature", "teacher_temperature", "embedding_dimension",
            "sentence_embedding_dimension",
        ]
        let entry = LossRegistry.all.first { $0.name == loss.name }
        return loss.loss.options.filter { option in
            guard own.contains(option.name) else { return true }
            return !option.value.isNull && entry?.options.first { $0.name == option.name }?.defaultValue != option.value
                && !option.name.hasSuffix("embedding_dimension")
        }
    }

    private func adapt(_ options: inout Options) {
        func replace(_ name: String, _ change: (JSONValue) -> (String, JSONValue)) {
            guard let place = options.firstIndex(where: { $0.name == name }) else { return }
            let (name, value) = change(options[place].value)
            options[place] = (name, value)
        }
        func prefix(_ name: String, _ path: String) {
            replace(name) { (name, .string(path + ($0.string ?? ""))) }
        }
        replace("loss") { value in ("loss", loss.loss.nested.first.map { .string($0.name) } ?? value) }
        replace("losses") { _ in ("losses", .array(loss.loss.nested.map { .string($0.name) })) }
        replace("guide") { value in
            let id = value.string.flatMap(ModelCardFacts.hubID)
            return ("guide", .string("SentenceTransformer(\(id.map { "'\($0)'" } ?? "None"))"))
        }
        switch loss.name {
        case "MultipleNegativesSymmetricRankingLoss", "CachedMultipleNegativesSymmetricRankingLoss":
            options += [
                ("directions", .array([.string("query_to_doc"), .string("doc_to_query")])),
                ("partition_mode", .string("per_direction")), ("hardness_mode", .null),
                ("hardness_strength", .number(0)),
            ]
        case "AnglELoss": options.append(("similarity_fct", .string("pairwise_angle_sim")))
        case "BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss":
            replace("margin") { ("margin", whole($0)) }
        case "TripletLoss":
            prefix("distance_metric", "TripletDistanceMetric.")
            replace("triplet_margin") { ("triplet_margin", whole($0)) }
        case "ContrastiveLoss", "OnlineContrastiveLoss": prefix("distance_metric", "SiameseDistanceMetric.")
        case "CosineSimilarityLoss":
            prefix("loss_fct", "torch.nn.modules.loss.")
            replace("cos_score_transformation") { value in
                let name = value.string ?? ""
                let path = name == "Identity" ? "linear" : "activation"
                return ("cos_score_transformation", .string("torch.nn.modules.\(path).\(name)"))
            }
        case "DenoisingAutoEncoderLoss": options.insert(("need_retokenization", .bool(false)), at: 1)
        case "MatryoshkaLoss", "Matryoshka2dLoss":
            replace("matryoshka_weights") { ("matryoshka_weights", .array($0.array?.map(whole) ?? [])) }
        default: break
        }
        if loss.name == "Matryoshka2dLoss" {
            let widths = options.filter { $0.name.hasPrefix("matryoshka") || $0.name == "n_dims_per_step" }
            options.removeAll { option in widths.contains { $0.name == option.name } }
            options += widths
        }
        guard loss.loss.nested.isEmpty, let chunks = loss.chunking else { return }
        let sizes: Options = [
            ("mini_batch_size", chunks.rows.map { .integer(Int64($0)) } ?? .null),
            ("mini_batch_num_tokens", chunks.tokens.map { .integer(Int64($0)) } ?? .null),
        ]
        let hasSizes = loss.name.hasPrefix("Cached") || loss.name == "MegaBatchMarginLoss"
        options.insert(contentsOf: sizes, at: hasSizes ? min(2, options.count) : options.count)
    }

    private static let gte = """
        @misc{li2023generaltextembeddingsmultistage,
              title={Towards General Text Embeddings with Multi-stage Contrastive Learning},
              author={Zehan Li and Xin Zhang and Yanzhao Zhang and Dingkun Long and Pengjun Xie and Meishan Zhang},
              year={2023},
              eprint={2308.03281},
              archivePrefix={arXiv},
              primaryClass={cs.CL},
              url={https://arxiv.org/abs/2308.03281},
        }
        """

    private static let jina = """
        @misc{günther2024jinaembeddings28192token,
              title={Jina Embeddings 2: 8192-Token General-Purpose Text Embeddings for Long Documents},
              author={Michael Günther and Jackmin Ong and Isabelle Mohr and Alaeddine Abdessalem and Tanguy Abel and \
        Mohammad Kalim Akram and Susana Guzman and Georgios Mastrapas and Saba Sturua and Bo Wang and Maximilian Werk and \
        Nan Wang and Han Xiao},
              year={2024},
              eprint={2310.19923},
              archivePrefix={arXiv},
              primaryClass={cs.CL},
              url={https://arxiv.org/abs/2310.19923},
        }
        """

    /// A number as Python users write it where they may leave out the fraction.
    private func whole(_ value: JSONValue) -> JSONValue {
        guard let number = value.double, let whole = Int64(exactly: number) else { return value }
        return .integer(whole)
    }
}
