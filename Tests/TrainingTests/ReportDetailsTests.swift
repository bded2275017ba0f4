// What reports may ask for in addition: diagnoses of the model, and the norms of single tensors' gradients.

import Foundation
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

@Suite(.serialized) struct ReportDetailsTests {
    /// Six steps with an evaluation after three, on a batch that several ranks share.
    private func run() -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.2
        run.arguments.globalTrainBatchSize = 11
        run.arguments.maxSteps = 6
        run.arguments.loggingSteps = 1
        run.arguments.evalStrategy = .steps
        run.arguments.evalSteps = 3
        run.arguments.saveStrategy = .no
        run.evaluation = true
        return run
    }

    @Test func aModelIsDiagnosedBeforeInBetweenAndAtTheEnd() throws {
        let scratch = try TemporaryDirectory()
        let heard = Listener(.diagnosis)
        _ = try run().train(scratch.path, report: heard)
        #expect(heard.diagnoses.map(\.step) == [0, 3, 6, 6])
        #expect(heard.diagnoses.map(\.isFinal) == [false, false, false, true])
        var last = heard.diagnoses[3]
        last.isFinal = false
        #expect(last == heard.diagnoses[2])
        let (first, sample) = (heard.diagnoses[0], try #require(heard.sample))
        #expect(first.ranks.count == sample.anchors.count && sample.anchors.count > 10)
        // Positives and negatives, each text once.
        #expect(Set(sample.candidates).count == sample.candidates.count)
        #expect(sample.candidates.count > sample.anchors.count)
        // Training brings positives up.
        #expect(last.meanReciprocalRank > first.meanReciprocalRank)
        #expect(heard.norms.isEmpty)
    }

    /// The run that is watched has the bits of the run that is not, and any ranks give the same numbers.
    @Test func aDiagnosisChangesNothingAndDependsOnNoRanks() throws {
        let scratch = try TemporaryDirectory()
        let run = run()
        let plain = parameterValues(try run.train(scratch.path + "/plain").model)
        let heard = Listener([.diagnosis, .gradientNorms])
        #expect(parameterValues(try run.train(scratch.path + "/watched", report: heard).model) == plain)
        for world in 2...3 {
            let output = scratch.path + "/\(world)"
            let all = try LocalEnsemble.run(world: world) { ensemble in
                let own = Listener([.diagnosis, .gradientNorms])
                // As under mpirun: a report is asked on rank zero alone.
                _ = try run.train(output, ensemble: ensemble, report: ensemble.isRoot ? own : nil)
                return ensemble.isRoot ? own.summary : []
            }
            for (a, b) in zip(all[0], heard.summary) { #expect(abs(a - b) <= 1e-4 * max(1, abs(b)), "W = \(world)") }
            #expect(all[0].count == heard.summary.count && heard.summary.count > 20)
        }
    }

    /// The squares of the tensors' norms add up to that of the whole gradient, whatever keeps the arenas.
    @Test(arguments: [(1, true), (2, true), (3, true), (2, false), (3, false)])
    func theNormsOfTensorsAddUp(world: Int, sharesNode: Bool) throws {
        let scratch = try TemporaryDirectory()
        let (run, output) = (run(), scratch.path + "/run")
        let norms = try LocalEnsemble.run(world: world, sharesNode: sharesNode) { ensemble in
            let own = Listener(.gradientNorms)
            _ = try run.train(output, ensemble: ensemble, report: ensemble.isRoot ? own : nil)
            return own.norms.map { $0.map(\.norm) }
        }[0]
        let lines = try trainingLines(output)
        #expect(norms.count == 6 && lines.count == 6)
        for (line, own) in zip(lines, norms) {
            let whole = try #require(line["grad_norm"]?.double)
            let sum = own.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(whole > 0 && abs(sum - whole) <= 1e-9 * whole)
            #expect(own.count { $0 > 0 } > 20)  // of many tensors, not of one
        }
    }

    @Test func aDataSetWithoutPairsIsNotDiagnosed() throws {
        let scratch = try TemporaryDirectory()
        var run = TinyRun("bert-adamw")
        run.arguments.maxSteps = 2
        run.loss = LossSpecification(name: "CoSENTLoss")
        run.change = { table in
            try Table(
                columns: [0, 1].map { (table.columnNames[$0], table.texts(column: $0)) },
                labels: (0..<table.rowCount).map { .float(Double($0 % 3) / 2) })
        }
        let heard = Listener(.diagnosis)
        _ = try run.train(scratch.path, report: heard)
        #expect(heard.diagnoses.isEmpty)
    }

    /// Every line says how much of the machine is used, and what memory.
    @Test func linesTellTheShareOfThePeakAndTheMemory() throws {
        let scratch = try TemporaryDirectory()
        _ = try run().train(scratch.path)
        for line in try trainingLines(scratch.path) {
            let share = try #require(line["share_of_peak"]?.double)
            #expect(share > 0 && share < 1.5)
            #expect(try #require(line["peak_memory"]?.int) > 1 << 20)
        }
        // A static model has no products to count: no line says that it used nothing.
        var tables = run()
        tables.model = scratch.path + "/static"
        try FileManager.default.copyItem(atPath: Goldens.path("static-models/dense"), toPath: tables.modelPath)
        try FileManager.default.copyItem(
            atPath: Goldens.path("static-models/tokenizer.json"), toPath: tables.modelPath + "/tokenizer.json")
        _ = try tables.train(scratch.path + "/run")
        let lines = try trainingLines(scratch.path + "/run")
        #expect(!lines.isEmpty && lines.allSatisfy { $0["share_of_peak"] == nil && $0["tokens_per_second"] != nil })
    }

    /// A model by the parts of the formula: three rows on a circle.
    @Test func aDiagnosisIsWhatItsDefinitionsSay() throws {
        let sample = DiagnosisSample(
            source: "made", anchors: ["a", "b", "c"], candidates: ["A", "B", "C"], positives: [0, 1, 2])
        // Degrees: anchors at 0, 90, 180; candidates at 12, 180, 170. The second row's positive is farther than A.
        func circle(_ degrees: [Double]) -> Embeddings {
            Embeddings(
                rows: degrees.flatMap { [Float(cos($0 * .pi / 180)), Float(sin($0 * .pi / 180))] }, dimension: 2)
        }
        let diagnosis = Diagnosis(sample: sample).judge(circle([0, 90, 180]), circle([12, 180, 170]), step: 4)
        func cosine(_ degrees: Double) -> Double { cos(degrees * .pi / 180) }
        #expect(diagnosis.ranks == [1, 3, 2])
        for (found, wanted) in zip(diagnosis.similarities, [cosine(12), cosine(90), cosine(10)]) {
            #expect(abs(found - wanted) < 1e-6)
        }
        for (found, wanted) in zip(diagnosis.hardest, [cosine(170), cosine(78), cosine(0)]) {
            #expect(abs(found - wanted) < 1e-6)
        }
        let alignment = (2 - 2 * cosine(12) + 2 + 2 - 2 * cosine(10)) / 3
        #expect(abs(diagnosis.alignment - alignment) < 1e-6)
        let all: [Double] = [0, 90, 180, 12, 180, 170]
        var sum = 0.0
        for (place, x) in all.enumerated() {
            for y in all[..<place] { sum += exp(-2 * (2 - 2 * cosine(x - y))) }
        }
        #expect(abs(diagnosis.uniformity - log(sum / 15)) < 1e-5)
        #expect(diagnosis.doubts.map(\.row) == [1, 2] && diagnosis.doubts.map(\.candidate) == [0, 1])
        #expect(diagnosis.accuracy == 1.0 / 3 && abs(diagnosis.meanReciprocalRank - (1 + 1.0 / 3 + 0.5) / 3) < 1e-12)
    }

    /// Several positives of one anchor, and the anchor itself among the candidates, are no negatives.
    @Test func positivesOfTheSameAnchorAreNoNegatives() throws {
        let sample = DiagnosisSample(
            source: "made", anchors: ["a", "a"], candidates: ["A", "B", "a"], positives: [0, 1])
        let rows = Embeddings(rows: [1, 0, 1, 0], dimension: 2)
        let candidates = Embeddings(rows: [0.6, 0.8, 0.8, 0.6, 1, 0], dimension: 2)
        let diagnosis = Diagnosis(sample: sample).judge(rows, candidates, step: 0)
        #expect(diagnosis.ranks == [1, 1] && diagnosis.doubts.isEmpty)
        #expect(diagnosis.hardest == diagnosis.similarities)  // there is none
    }
}

/// Keeps diagnoses and norms.
private final class Listener: Report {
    let details: ReportDetails
    private(set) var diagnoses: [ContrastiveDiagnosis] = []
    private(set) var sample: DiagnosisSample?
    private(set) var norms: [[(tensor: String, norm: Double)]] = []

    init(_ details: ReportDetails) { self.details = details }

    func diagnosed(_ diagnosis: ContrastiveDiagnosis, of sample: DiagnosisSample) throws {
        diagnoses.append(diagnosis)
        self.sample = sample
    }

    func logged(_ line: LogLine) throws { if !line.gradientNorms.isEmpty { norms.append(line.gradientNorms) } }

    /// Everything as numbers.
    var summary: [Double] {
        diagnoses.flatMap { [$0.alignment, $0.uniformity, $0.meanSimilarity, $0.meanHardest] }
            + norms.flatMap { $0.map(\.norm) }
    }
}
