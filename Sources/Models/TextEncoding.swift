// Texts to embeddings, on one rank or shared among all.
//
// What: texts are dealt to ranks in turn from the longest to the shortest, so that shares cost about the same; each
// rank packs its share into batches of about `tokensPerBatch` tokens, which cost no padding; the rows of all ranks are
// gathered and put back into the order of the texts.
//
// Reference: sentence_transformers/sentence_transformer/model.py (encode, _inference).

import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// Texts in, embeddings out: a model with a prompt, a route and a size of batches.
struct TextEncoding {
    private let model: SentenceEncoder
    private let collator: Collator
    private let tokensPerBatch: Int

    /// Encodes with `prompt` before every text; nil stands for the default prompt of the model, "" for none. `task` chooses
    /// the route of a model with a Router.
    ///
    /// Throws: `.usage` for a task without a route.
    init(model: SentenceEncoder, prompt: String?, task: String?, tokensPerBatch: Int) throws(TuttiError) {
        precondition(tokensPerBatch >= 1, "batches of \(tokensPerBatch) tokens")
        self.model = model
        let prompt = prompt ?? model.defaultPromptName.flatMap { model.prompts[$0] } ?? ""
        collator = try model.makeCollator(prompts: [prompt], tasks: [task])
        self.tokensPerBatch = tokensPerBatch
    }

    /// The embeddings of `texts` in their order; `observe` gets the texts that are done, of all. Collective.
    func embeddings(
        of texts: [String], ensemble: (any Ensemble)?, observe: (_ done: Int, _ total: Int) -> Void
    ) throws -> Embeddings {
        let order = longestFirst(texts)
        let (rank, world) = (ensemble?.rank ?? 0, ensemble?.size ?? 1)
        let shares = (0..<world).map { share in stride(from: share, to: order.count, by: world).map { order[$0] } }
        observe(0, texts.count)
        let share = shares[rank].map { texts[$0] }
        let own = encodeShare(share) { done in
            observe(done == share.count ? texts.count : done * world, texts.count)
        }
        if let isInterrupted = model.isInterrupted {
            let code: Int32 = isInterrupted() ? 1 : 0
            if try ensemble?.agree(code: code) ?? code != 0 { throw TuttiError.interruption }
        }
        let joined: Embeddings  // rows of rank 0, then of rank 1 ...
        if let ensemble, world > 1 {
            joined = Embeddings(count: texts.count, dimension: model.encoder.outputWidth)
            let counts = shares.map { $0.count * model.encoder.outputWidth * MemoryLayout<Float>.stride }
            try counts.withUnsafeBufferPointer { counts in
                try ensemble.allGather(
                    UnsafeRawBufferPointer(own.values), counts: counts,
                    into: UnsafeMutableRawBufferPointer(joined.values))
            }
        } else {
            joined = own
        }
        var rows = [Int](repeating: 0, count: texts.count)
        for (row, text) in shares.joined().enumerated() { rows[text] = row }
        let ordered = withExtendedLifetime(own) { joined.gathering(rows) }
        try requireFinite(ordered)
        return model.directory.truncatedDimension.map(ordered.truncated) ?? ordered
    }

    /// Refuses embeddings that are not finite: finite weights may still be too large to compute with.
    private func requireFinite(_ embeddings: Embeddings) throws(TuttiError) {
        guard let place = withExtendedLifetime(embeddings, { embeddings.values.firstNonFinite }) else { return }
        throw TuttiError(
            .diverged, "encode texts", model.sourceDescription,
            "the embedding of text \(place / embeddings.dimension + 1) is not finite",
            hint: "The weights are too large for single precision: training has diverged, or the model file is damaged."
        )
    }

    /// The places of the texts by falling length in bytes, equal lengths in their order.
    private func longestFirst(_ texts: [String]) -> [Int] {
        let lengths = texts.map(\.utf8.count)
        return texts.indices.sorted { lengths[$0] != lengths[$1] ? lengths[$0] > lengths[$1] : $0 < $1 }
    }

    /// The embeddings of one rank's texts, in their order; the rest is left out once encoding is given up.
    private func encodeShare(
        _ texts: [String], observe: (_ done: Int) -> Void
    ) -> Embeddings {
        let embeddings = Embeddings(count: texts.count, dimension: model.encoder.outputWidth)
        var batch = PackedBatch()
        var firstRow = 0
        func run(upTo row: Int) {
            guard batch.sequenceCount > 0, let base = embeddings.values.baseAddress else { return }
            model.encoder.compute.run {
                model.encoder.embed(
                    batch,
                    into: .init(
                        base + firstRow * model.encoder.outputWidth, batch.sequenceCount, model.encoder.outputWidth))
            }
            batch.removeAll()
            firstRow = row
            observe(row)
        }
        for (row, text) in texts.enumerated() {
            collator.append(text, slot: UInt64(row), column: 0, to: &batch)
            if batch.tokenCount >= tokensPerBatch {
                run(upTo: row + 1)
                if model.isInterrupted?() == true { return embeddings }
            }
        }
        run(upTo: texts.count)
        return embeddings
    }
}
