// Data that a loss cannot take are refused before the first step: the message, the table, the exit code.

import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Keeps what a run says.
private final class Notes: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}

@Suite struct ColumnRolesTests {
    private let texts = ["a", "b", "c", "d"]

    /// The refusal of a run over such data, and the lines that were shown with it.
    private func refusal(
        _ columns: [String], labels: [Label] = [], loss: String = "MultipleNegativesRankingLoss"
    ) throws -> (error: TuttiError?, lines: [String]) {
        let scratch = try TemporaryDirectory()
        let notes = Notes()
        let table = try Table(columns: columns.map { ($0, texts) }, labels: labels, source: "data.csv")
        var options: JSONObject = [:]
        if loss == "MatryoshkaLoss" {
            let inner = LossSpecification(name: "MultipleNegativesRankingLoss")
            options = ["loss": .loss(inner), "matryoshka_dims": .array([.integer(16)])]
        }
        let inputs = TrainingInputs(
            model: try SentenceEncoder.load(TinyRun("bert-sgd").modelPath), arguments: TrainingArguments(),
            trainDataset: table, loss: try LossRegistry.make(name: loss, options: options),
            outputDirectory: scratch.path + "/run")
        do {
            _ = try Trainer(inputs, ensemble: LocalEnsemble.single(), reports: [notes])
            return (nil, notes.lines)
        } catch {
            return (error as? TuttiError, notes.lines)
        }
    }

    /// What is said of columns in an unusual order, with the columns as they are advised.
    private func advice(_ columns: [String], labels: [Label] = [], loss: String) throws -> String? {
        let scratch = try TemporaryDirectory()
        let table = try Table(
            columns: columns.map { ($0, texts) }, labelName: "score", labels: labels, source: "data.csv")
        let inputs = TrainingInputs(
            model: try SentenceEncoder.load(TinyRun("bert-sgd").modelPath), arguments: TrainingArguments(),
            trainDataset: table, loss: try LossRegistry.make(name: loss), outputDirectory: scratch.path + "/run")
        let line = inputs.columnNotices.first { $0.contains("would change it") }
        return line.flatMap { line in
            line.range(of: "columns: [").flatMap { start in
                line[start.upperBound...].firstIndex(of: "]").map { String(line[start.upperBound..<$0]) }
            }
        }
    }

    /// The advised order changes the order, and keeps the label.
    @Test func adviceCanBeUsedAsPrinted() throws {
        let ranking = "MultipleNegativesRankingLoss"
        #expect(try advice(["answer", "query"], loss: ranking) == "query, answer")
        #expect(try advice(["response", "query"], loss: ranking) == "query, response")
        let scores = texts.indices.map { Label.float(Double($0)) }
        #expect(try advice(["positive", "anchor"], labels: scores, loss: "CoSENTLoss") == "anchor, positive, score")
        #expect(try advice(["negative", "positive", "anchor"], loss: ranking) == "anchor, positive, negative")
        #expect(try advice(["anchor", "positive"], loss: ranking) == nil)
    }

    private let takes =
        "(anchor, positive) or (anchor, positive, negative) or (anchor, positive, negative_1 ... negative_n) "
        + "without a label"

    @Test func tooFewColumns() throws {
        let (error, lines) = try refusal(["sentence"])
        #expect(error?.kind == .usage && error?.subject == "data.csv")
        #expect(
            error?.problem
                == "MultipleNegativesRankingLoss takes \(takes); the data have 1 text column and no label: "
                + "sentence -> anchor, (missing) -> positive")
        #expect(
            lines == [
                "data.csv does not fit MultipleNegativesRankingLoss:",
                "  MultipleNegativesRankingLoss  (anchor, positive), label: none",
                "                                (anchor, positive, negative), label: none",
                "                                (anchor, positive, negative_1 ... negative_n), label: none", "",
                "  column                        role",
                "  sentence                      anchor", "  (missing)                     positive",
            ])
    }

    @Test func aLabelThatNobodyTakes() throws {
        let labels = [0, 2, 1, 1].map(Label.integer)
        let (error, lines) = try refusal(["anchor", "positive"], labels: labels)
        #expect(error?.kind == .usage)
        #expect(
            error?.problem.hasSuffix(
                "the data have 2 text columns and the label 'label', whole numbers from 0 to 2: anchor -> anchor, "
                    + "positive -> positive, label -> (none: it takes no label)") == true)
        #expect(lines.last == "  label                         (none: it takes no label)")
    }

    @Test func aLossInsideAModifierIsAsked() throws {
        let (error, _) = try refusal(["sentence"], loss: "MatryoshkaLoss")
        #expect(error?.problem.hasPrefix("MultipleNegativesRankingLoss in MatryoshkaLoss takes \(takes);") == true)
        #expect(try refusal(["a", "b", "c", "d", "e"], loss: "MatryoshkaLoss").error == nil)
    }

    @Test func whatFitsIsTaken() throws {
        for count in 2...6 {
            let (error, lines) = try refusal((0..<count).map { "column \($0)" })
            #expect(error == nil && lines.isEmpty)
        }
    }
}
