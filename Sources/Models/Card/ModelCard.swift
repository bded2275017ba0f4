// The README.md of a saved model: what it is, how to use it, how it was trained and how well it does.
//
// What: the metadata that model hubs read, then the sections of a card of sentence-transformers 6.2, in its words, so that a
// model's page looks the same whichever of the two has trained it. A pure function of its facts that needs no network and
// cannot fail, so that a card never stops a model from being saved.
//
// Reference: sentence_transformers/sentence_transformer/model_card_template.md.

import Foundation
import TuttiGround

/// A model card made of facts.
package struct ModelCard: Sendable {
    /// The facts.
    package var facts: ModelCardFacts

    /// A card of `facts`.
    package init(facts: ModelCardFacts) { self.facts = facts }

    /// The whole card as Markdown.
    package var text: String {
        let results = EvaluationSection(evaluations: facts.evaluations).text
        let sections = [
            "---\n" + CardYAML.lines(of: metadata).joined(separator: "\n") + "\n---", introduction, description,
            architecture,
            usage + "\n" + Self.comments(Self.uses), results, Self.comments(Self.risks),
            TrainingSections(facts: facts).text, Self.resources, citations, Self.comments(Self.people),
        ]
        return sections.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }

    /// What model hubs read of it.
    package var metadata: JSONObject { CardMetadata(facts: facts, title: title).object }

    private var title: String {
        if !facts.modelName.isEmpty { return facts.modelName }
        return facts.baseModel.isEmpty ? "SentenceTransformer" : "SentenceTransformer based on \(facts.baseModel)"
    }

    /// The training data that have names, in Markdown.
    private var datasets: [String] { facts.trainDatasets.filter { !$0.name.isEmpty }.map(\.link) }

    private var introduction: String {
        let origin =
            facts.baseModel.isEmpty
            ? "trained" : "finetuned from [\(facts.baseModel)](https://huggingface.co/\(facts.baseModel))"
        var data = ""
        if !datasets.isEmpty {
            let names = facts.trainDatasets.map(\.name).filter { !$0.isEmpty }.joined(separator: ", ")
            data =
                " on " + (names.count > 200 ? "\(facts.trainDatasets.count)" : "the \(enumeration(datasets))")
                + (datasets.count > 1 ? " datasets" : " dataset")
        }
        return """
            # \(title)

            This is a [sentence-transformers](https://www.SBERT.net) model \(origin)\(data). It maps inputs to a \
            \(facts.dimension)-dimensional dense vector space and can be used for \(facts.taskName).
            """
    }

    private var description: String {
        var lines = ["## Model Details", "", "### Model Description", "- **Model Type:** Sentence Transformer"]
        if facts.baseModel.isEmpty {
            lines.append("<!-- - **Base model:** [Unknown](https://huggingface.co/unknown) -->")
        } else {
            lines.append(
                "- **Base model:** [\(facts.baseModel)](https://huggingface.co/\(facts.baseModel))"
                    + (facts.baseRevision.isEmpty ? "" : " <!-- at revision \(facts.baseRevision) -->"))
        }
        let functions = [
            "cosine": "Cosine Similarity", "dot": "Dot Product", "euclidean": "Euclidean Distance",
            "manhattan": "Manhattan Distance",
        ]
        lines += [
            "- **Maximum Sequence Length:** \(facts.maximumLength.map(String.init) ?? "inf") tokens",
            "- **Output Dimensionality:** \(facts.dimension) dimensions",
            "- **Similarity Function:** \(functions[facts.similarity] ?? facts.similarity)",
            "- **Supported Modality:** Text",
        ]
        if datasets.isEmpty {
            lines.append("<!-- - **Training Dataset:** Unknown -->")
        } else {
            lines.append("- **Training Dataset\(datasets.count > 1 ? "s" : ""):**")
            lines += datasets.map { "    - \($0)" }
        }
        lines.append(
            facts.languages.isEmpty
                ? "<!-- - **Language:** Unknown -->"
                : "- **Language\(facts.languages.count > 1 ? "s" : ""):** \(facts.languages.joined(separator: ", "))")
        lines.append(
            facts.license.isEmpty ? "<!-- - **License:** Unknown -->" : "- **License:** \(facts.license)")
        return lines.joined(separator: "\n")
    }

    private var architecture: String {
        let modules = facts.architecture.enumerated().map { "  (\($0)): \($1)\n" }.joined()
        return """
            ### Model Sources

            - **Documentation:** [Sentence Transformers Documentation](https://sbert.net)
            - **Repository:** [Sentence Transformers on GitHub](https://github.com/huggingface/sentence-transformers)
            - **Hugging Face:** [Sentence Transformers on Hugging Face]\
            (https://huggingface.co/models?library=sentence-transformers)

            ### Full Model Architecture

            ```
            SentenceTransformer(
            \(modules))
            ```
            """
    }

    private var usage: String {
        """
        ## Usage

        ### Direct Usage (Sentence Transformers)

        First install the Sentence Transformers library:

        ```bash
        pip install -U sentence-transformers
        ```
        Then you can load this model and run inference.
        \(facts.usage.code(id: facts.modelID, width: facts.dimension))
        """
    }

    private var citations: String {
        // Losses of one paper share its entry.
        var entries: [(names: [String], bibtex: String)] = []
        for (name, bibtex) in [("Sentence Transformers", sentenceBERTCitation)] + facts.citations {
            let bibtex = bibtex.trimmingCharacters(in: .whitespacesAndNewlines)
            if let place = entries.firstIndex(where: { $0.bibtex == bibtex }) {
                entries[place].names.append(name)
            } else {
                entries.append(([name], bibtex))
            }
        }
        return "## Citation\n\n### BibTeX\n\n"
            + entries.map { "#### \(enumeration($0.names))\n```bibtex\n\($0.bibtex)\n```" }.joined(separator: "\n\n")
    }

    // MARK: What every card says

    /// Headings for the author to fill in, which a page does not show.
    private static func comments(_ texts: [String]) -> String {
        texts.map { "<!--\n\($0)\n-->" }.joined(separator: "\n\n")
    }

    private static let uses = [
        "### Direct Usage (Transformers)\n\n<details><summary>Click to see the direct usage in Transformers</summary>"
            + "\n\n</details>",
        "### Downstream Usage (Sentence Transformers)\n\nYou can finetune this model on your own dataset.\n\n"
            + "<details><summary>Click to expand</summary>\n\n</details>",
        "### Out-of-Scope Use\n\n*List how the model may foreseeably be misused and address what users ought not to do "
            + "with the model.*",
    ]

    private static let risks = [
        "## Bias, Risks and Limitations\n\n*What are the known or foreseeable issues stemming from this model? You could "
            + "also flag here known failure cases or weaknesses of the model.*",
        "### Recommendations\n\n*What are recommendations with respect to the foreseeable issues? For example, filtering "
            + "explicit content.*",
    ]

    private static let people = [
        "## Glossary\n\n*Clearly define terms in order to be accessible across audiences.*",
        "## Model Card Authors\n\n*Lists the people who create the model card, providing recognition and accountability "
            + "for the detailed work that goes into its construction.*",
        "## Model Card Contact\n\n*Provides a way for people who have updates to the Model Card, suggestions, or "
            + "questions, to contact the Model Card authors.*",
    ]

    private static let resources = """
        ## Additional Resources

        - [Training and Finetuning Embedding Models with Sentence Transformers]\
        (https://huggingface.co/blog/train-sentence-transformers): the end-to-end guide for training or finetuning \
        Sentence Transformer models.
        - [Introduction to Matryoshka Embedding Models](https://huggingface.co/blog/matryoshka): variable-size embeddings \
        that can be truncated with minimal quality loss.
        - [Binary and Scalar Embedding Quantization for Significantly Faster & Cheaper Retrieval]\
        (https://huggingface.co/blog/embedding-quantization): post-training compression of embedding vectors.
        - [Multimodal Embedding & Reranker Models with Sentence Transformers]\
        (https://huggingface.co/blog/multimodal-sentence-transformers): use text, image, audio, and video models through \
        the same API.
        - [Training and Finetuning Multimodal Embedding & Reranker Models with Sentence Transformers]\
        (https://huggingface.co/blog/train-multimodal-sentence-transformers): train multimodal embedding models, with a \
        Visual Document Retrieval walkthrough.
        """
}
