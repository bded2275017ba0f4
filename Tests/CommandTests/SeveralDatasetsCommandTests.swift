// Several data sets as a user configures them: what is printed, logged and written, and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiFormats

@Suite struct SeveralDatasetsCommandTests {
    private func workshop(_ path: String) throws -> Workshop {
        let workshop = try Workshop(path)
        try workshop.write(
            "run.yaml",
            """
            model: \(path)/model
            output_dir: \(path)/run
            train_dataset:
              triplets: {path: \(path)/rows.jsonl}
              pairs: {path: \(path)/rows.jsonl, columns: [anchor, positive]}
            eval_dataset:
              pairs: {path: \(path)/rows.jsonl, columns: [anchor, positive]}
            loss:
              triplets: {name: MultipleNegativesRankingLoss, scale: 10}
              pairs: {name: CachedMultipleNegativesRankingLoss, mini_batch_size: 4}
            args:
              num_train_epochs: 1
              global_train_batch_size: 8
              logging_steps: 5
              eval_strategy: steps
              multi_dataset_batch_sampler: round_robin
              prompts: {pairs: "baba "}
              load_best_model_at_end: true
              metric_for_best_model: eval_pairs_loss
              save_steps: 5
            """)
        return workshop
    }

    @Test func aRunTellsWhatItDoesWithEach() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        let outcome = try workshop.train()
        #expect(outcome.code == 0, "\(outcome.errors)")
        for line in [
            "triplets, 84 rows, MultipleNegativesRankingLoss: anchor -> anchor, positive -> positive, "
                + "negative_1 -> negative.",
            "pairs, 84 rows, CachedMultipleNegativesRankingLoss: anchor -> anchor, positive -> positive.",
            "Training for 22 steps.",
        ] { #expect(outcome.output.contains(line + "\n"), "\(line)") }
        #expect(outcome.output.contains("eval_pairs_loss") && !outcome.output.contains("eval_pairs_runtime"))
        let log = String(decoding: try workshop.read("run/metrics.jsonl"), as: UTF8.self)
        #expect(log.contains("\"eval_pairs_loss\"") && !log.contains("\"eval_loss\""))
        let card = String(decoding: try workshop.read("run/final/README.md"), as: UTF8.self)
        for heading in ["### Training Datasets\n\n#### triplets", "### Evaluation Dataset\n\n#### pairs"] {
            #expect(card.contains(heading))
        }
        let again = try workshop.train()
        #expect(again.code == 0 && again.output.contains("finished"))
        let other = try workshop.train("--set", "loss.pairs.mini_batch_size=8")
        #expect(other.code == 64)
        #expect(try other.errorLine.contains("another run"))
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        func refused(_ setting: String, _ words: [String]) throws -> Outcome {
            let outcome = try workshop.train("--set", setting)
            #expect(outcome.code == 64, "\(setting)")
            let line = try outcome.errorLine
            for word in words { #expect(line.contains(word), "\(line)") }
            #expect(!workshop.exists("run"))
            return outcome
        }
        let shown = try refused(
            "train_dataset.pairs.columns=[anchor]",
            ["pairs (", "rows.jsonl)", "RankingLoss takes (anchor, positive)", "(missing) -> positive"])
        #expect(shown.output.contains("pairs does not fit CachedMultipleNegativesRankingLoss:\n"))
        #expect(shown.output.contains("  (missing)                           positive\n"))
        _ = try refused("loss.pair={name: MultipleNegativesRankingLoss}", ["loss.pair", "'pairs'"])
        _ = try refused("args.prompts={pair: x}", ["args.prompts.pair", "'pairs'"])
        _ = try refused("args.prompts={pairs: {negative_1: x}}", ["args.prompts.pairs.negative_1", "anchor, positive"])
        _ = try refused("args.metric_for_best_model=eval_loss", ["metric_for_best_model", "eval_pairs_loss"])
        _ = try refused("args.batch_sampler=group_by_label", ["group_by_label", "no label column"])
        _ = try refused("args.multi_dataset_batch_sampler=temperature", ["multi_dataset_temperature"])
    }
}
