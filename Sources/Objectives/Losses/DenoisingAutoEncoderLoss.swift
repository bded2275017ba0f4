// DenoisingAutoEncoderLoss (TSDAE): a decoder must reconstruct a text from the embedding of its damaged form.
//
// Legend: `b` rows on this rank, `D` width.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// A decoder predicts each token of the original text from the tokens before it and from the embedding of the damaged
/// text, so that the embedding must contain all of the text:
///
///     loss = -1/M  sum_i sum_k  log P(token k of original_i | tokens before k, model(damaged_i))
///
/// M is the number of predicted tokens of the global batch: all but the first of each text, without padding.
///
/// **When to use it**: to adapt a model to a domain with only texts, many of them; usually with CLS pooling.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (text) | none: some of its words are deleted for the model, differently in every epoch |
/// | (damaged, original) | none |
///
/// The decoder is a BERT with cross-attention and language-model head. Tied, it shares embeddings, self-attention and
/// feed-forward with the encoder, which must also be a BERT; cross-attention and head are its own. Weights that are not
/// in the checkpoint are initialized randomly. Its own parameters (`decoder.*`) belong to the loss: not saved with the model, not
/// clipped.
///
/// **Relations**: the reference averages over the tokens of each process, Tutti over those of all ranks. It deletes
/// NLTK tokens, Tutti words separated by white space. A decoder with another vocabulary uses its own tokenizer; the
/// reference only checks whether the tokenizer classes differ.
///
/// **Citation**: Wang et al. 2021, "TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised
/// Sentence Embedding Learning", arXiv 2104.06979. **Reference**: sentence_transformers,
/// losses/DenoisingAutoEncoderLoss.py.
package final class DenoisingAutoEncoderLoss: Loss {
    /// "DenoisingAutoEncoderLoss".
    package static let name = "DenoisingAutoEncoderLoss"

    /// Its options.
    struct Settings: LossSettings {
        var decoder: String?
        var isTied = true
        var deletionRatio = 0.6

        static let options = OptionList<Settings>([
            Option(
                "decoder_name_or_path", \.decoder, "the model that initializes the decoder, if it is not tied"),
            Option("tie_encoder_decoder", \.isTied, "the decoder uses the encoder's weights"),
            Option(
                "del_ratio", \.deletionRatio, "with one text column: the fraction of words to delete",
                check: .within(0..<1)),
        ])
    }

    private let decoder: String?
    private let isTied: Bool
    private let deletionRatio: Double
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for an untied decoder without a model to start from, or a ratio outside 0 ..< 1.
    package init(
        decoderNameOrPath: String? = nil, tieEncoderDecoder: Bool = true, deletionRatio: Double = 0.6
    ) throws(TuttiError) {
        guard tieEncoderDecoder || decoderNameOrPath != nil else {
            throw TuttiError.loss(
                Self.name, option: "decoder_name_or_path", problem: "is missing, and the decoder is not tied",
                hint: "Name the model that initializes the decoder, or set tie_encoder_decoder: true.")
        }
        guard deletionRatio >= 0, deletionRatio < 1 else {
            throw TuttiError.loss(Self.name, option: "del_ratio", problem: "\(deletionRatio) is not in 0 ..< 1")
        }
        decoder = tieEncoderDecoder ? nil : decoderNameOrPath
        isTied = tieEncoderDecoder
        self.deletionRatio = deletionRatio
    }

    /// decoder_name_or_path, tie_encoder_decoder and del_ratio.
    package var options: [(name: String, value: JSONValue)] {
        Settings(decoder: decoder, isTied: isTied, deletionRatio: deletionRatio).listed
    }

    /// A decoder of the last text column; the model reads the first.
    package var requirements: LossRequirements {
        var needs = LossRequirements()
        needs.texts = [.student: .first, .decoder: .last]
        needs.decoder = DecoderRequest(model: decoder, isTied: isTied, deletionRatio: deletionRatio)
        return needs
    }

    /// Refuses labels, and more than two columns.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        guard setting.labels == .none, (1...2).contains(setting.columns.count) else {
            throw TuttiError.loss(
                Self.name, problem: "it takes texts, or (damaged, original), and no labels",
                hint: "Choose the text columns with columns: [...].")
        }
    }

    /// This rank's part of the mean over all predicted tokens. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        guard let decoder = context.decoder else { preconditionFailure("DenoisingAutoEncoderLoss: no decoder") }
        return try tape.evaluateInner(batch, gradients, context) { tape in
            let tokens = try tape.sumOverRanks(Double(decoder.targetTokens))
            let texts = tape.column(0)  // [b, D]
            let dTexts = tape.wantsGradients ? tape.newMatrix(texts.rows, texts.columns) : nil  // [b, D]
            let value = try decoder.reconstruct(
                texts.matrix, factor: 1 / max(1, tokens), weight: context.weight, dEmbeddings: dTexts)
            if let dTexts { tape.add(gradient: dTexts, to: texts) }
            return value
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "a decoder reconstructs texts from embeddings of their damaged forms (TSDAE): needs only texts",
        inputs: [LossInput("text"), LossInput("damaged", "original")],
        settings: Settings.self,
        citation: """
            @inproceedings{wang-2021-TSDAE,
                title = "TSDAE: Using Transformer-based Sequential Denoising Auto-Encoderfor Unsupervised Sentence \
            Embedding Learning",
                author = "Wang, Kexin and Reimers, Nils and Gurevych, Iryna",
                booktitle = "Findings of the Association for Computational Linguistics: EMNLP 2021",
                month = nov,
                year = "2021",
                address = "Punta Cana, Dominican Republic",
                publisher = "Association for Computational Linguistics",
                pages = "671--688",
                url = "https://arxiv.org/abs/2104.06979",
            }
            """,
        make: { settings throws(TuttiError) in
            try DenoisingAutoEncoderLoss(
                decoderNameOrPath: settings.decoder, tieEncoderDecoder: settings.isTied,
                deletionRatio: settings.deletionRatio)
        })
}
