// The README.md of a saved model: what it is, how to use it, how it was trained and how well it does.
//
// What: YAML front matter that model hubs read, then the sections of a sentence-transformers card that need no network.
// A pure function of its facts that cannot fail, so that a card never stops a model from being saved.
//
// Reference: sentence_transformers/sentence_transformer/model_card_template.md.

import Foundation
import TuttiFormats
import TuttiGround

/// A model card made of facts.
package struct ModelCard: Sendable {
    /// The facts.
    package var facts: ModelCardFacts

    /// A card of `facts`.
    package init(facts: ModelCardFacts) { self.facts = facts }

    /// The whole card as Markdown.
    package var text: String {
        let results = TrainingSections(facts: facts)
        let sections = [frontMatter, introduction, details, usage, results.evaluation, results.training, citations]
        return sections.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }

    private var title: String {
        if !facts.modelName.isEmpty { return facts.modelName }
        return facts.baseModel.isEmpty ? "SentenceTransformer" : "SentenceTransformer based on \(facts.baseModel)"
    }

    private var lossNames: [String] {
        var names: [String] = []
        // As the reference: those of the data sets first, then those inside them.
        for name in facts.trainDatasets.map(\.lossName) + facts.trainDatasets.flatMap(\.innerLosses)
        where !names.contains(name) {
            names.append(name)
        }
        return names
    }

    private var frontMatter: String {
        var lines = ["---"]
        func list(_ key: String, _ values: [String]) {
            guard !values.isEmpty else { return }
            lines.append("\(key):")
            lines += values.map { "- \(yaml($0))" }
        }
        list("language", facts.languages)
        if !facts.license.isEmpty { lines.append("license: \(yaml(facts.license))") }
        var tags = ["sentence-transformers", "sentence-similarity", "feature-extraction", "dense"]
        if !facts.trainDatasets.isEmpty {
            tags += ["generated_from_trainer", "dataset_size:\(facts.trainDatasets.reduce(0) { $0 + $1.rowCount })"]
            tags += lossNames.map { "loss:\($0)" }
        }
        list("tags", tags + facts.tags.filter { !tags.contains($0) })
        if !facts.baseModel.isEmpty { lines.append("base_model: \(yaml(facts.baseModel))") }
        lines += ["pipeline_tag: sentence-similarity", "library_name: sentence-transformers"]
        var metrics: [String] = []
        for key in facts.evaluations.flatMap({ $0.metrics.map(\.key) }) where !metrics.contains(key) {
            metrics.append(key)
        }
        list("metrics", metrics)
        lines += modelIndex
        return (lines + ["---"]).joined(separator: "\n")
    }

    private var modelIndex: [String] {
        guard !facts.evaluations.isEmpty else { return [] }
        var lines = ["model-index:", "- name: \(yaml(title))", "  results:"]
        for evaluation in facts.evaluations {
            let dataset = evaluation.dataset.isEmpty ? "unknown" : evaluation.dataset
            lines += [
                "  - task:",
                "      type: \(yaml(evaluation.title.lowercased().replacingOccurrences(of: " ", with: "-")))",
                "      name: \(yaml(evaluation.title))", "    dataset:", "      name: \(yaml(dataset))",
                "      type: \(yaml(dataset))", "    metrics:",
            ]
            for metric in evaluation.metrics {
                lines += [
                    "    - type: \(yaml(metric.key))",
                    "      value: \(metric.value.isFinite ? pythonSpelling(of: metric.value) : ".nan")",
                    "      name: \(yaml(metric.key.replacingOccurrences(of: "_", with: " ").capitalized))",
                ]
            }
        }
        return lines
    }

    private var introduction: String {
        let origin = facts.baseModel.isEmpty ? " trained" : " finetuned from \(facts.baseModel)"
        let names = facts.trainDatasets.map(\.name).filter { !$0.isEmpty }
        let data = names.isEmpty ? "" : " on the \(names.joined(separator: ", ")) dataset\(names.count > 1 ? "s" : "")"
        return """
            # \(title)

            This is a [sentence-transformers](https://www.SBERT.net) model\(origin)\(data). It maps sentences & \
            paragraphs to a \(facts.dimension)-dimensional dense vector space and can be used for \(facts.taskName).
            """
    }

    private var details: String {
        var lines = ["## Model Details", "", "### Model Description", "- **Model Type:** Sentence Transformer"]
        if !facts.baseModel.isEmpty { lines.append("- **Base model:** \(facts.baseModel)") }
        lines.append("- **Maximum Sequence Length:** \(facts.maximumLength.map(String.init) ?? "inf") tokens")
        lines.append("- **Output Dimensionality:** \(facts.dimension) dimensions")
        let functions = [
            "cosine": "Cosine Similarity", "dot": "Dot Product", "euclidean": "Euclidean Distance",
            "manhattan": "Manhattan Distance",
        ]
        lines.append("- **Similarity Function:** \(functions[facts.similarity] ?? facts.similarity)")
        let names = facts.trainDatasets.map(\.name).filter { !$0.isEmpty }
        if !names.isEmpty {
            lines += ["- **Training Dataset\(names.count > 1 ? "s" : ""):**"] + names.map { "    - \($0)" }
        }
        if !facts.languages.isEmpty { lines.append("- **Language:** \(facts.languages.joined(separator: ", "))") }
        if !facts.license.isEmpty { lines.append("- **License:** \(facts.license)") }
        lines += ["", "### Full Model Architecture", "", "```", "SentenceTransformer("]
        lines += facts.architecture.enumerated().map { "  (\($0)): \($1)" }
        return (lines + [")", "```"]).joined(separator: "\n")
    }

    private var usage: String {
        """
        ## Usage

        First install the Sentence Transformers library:

        ```bash
        pip install -U sentence-transformers
        ```

        Then load this model\(facts.modelID.isEmpty ? " from its folder" : "") and run inference.

        ```python
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer("\(facts.modelID.isEmpty ? "path/to/this/folder" : facts.modelID)")
        sentences = [
            "The weather is lovely today.",
            "It's so sunny outside!",
            "He drove to the stadium.",
        ]
        embeddings = model.encode(sentences)
        print(embeddings.shape)
        # (3, \(facts.dimension))

        similarities = model.similarity(embeddings, embeddings)
        print(similarities.shape)
        # torch.Size([3, 3])
        ```
        """
    }

    private var citations: String {
        let sentenceBERT = """
            @inproceedings{reimers-2019-sentence-bert,
                title = "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
                author = "Reimers, Nils and Gurevych, Iryna",
                booktitle = "Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing",
                month = "11",
                year = "2019",
                publisher = "Association for Computational Linguistics",
                url = "https://arxiv.org/abs/1908.10084",
            }
            """
        let all = [(name: "Sentence Transformers", bibtex: sentenceBERT)] + facts.citations
        let entries = all.map { "#### \($0.name)\n```bibtex\n\($0.bibtex.trimmingCharacters(in: .newlines))\n```" }
        return "## Citation\n\n### BibTeX\n\n" + entries.joined(separator: "\n\n")
    }
}

/// A YAML scalar: plain where that is safe, quoted as JSON otherwise.
private func yaml(_ text: String) -> String {
    let safe = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./ @+".contains($0)) || $0 == ":" }
    let ambiguous = ["", "true", "false", "null", "yes", "no", "on", "off", "~"].contains(text.lowercased())
    let startsPlain = text.first.map { $0.isLetter } ?? false
    if safe, startsPlain, !ambiguous, !text.contains(": "), !text.hasSuffix(":"), !text.hasSuffix(" ") { return text }
    return JSONValue.string(text).serialized()
}
