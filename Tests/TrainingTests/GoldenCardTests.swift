// Model cards of runs, section by section with those that the reference writes after the same runs (Golden/cards.py).
//
// What cannot be equal is not compared: drawn examples, versions, times, arguments that only one of the two has; numbers that
// training has made are compared to a unit of their last digit.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// The runs in Tests/Golden/cards.
private let goldenRuns = ["adapter", "labels", "nano", "retrieval", "router", "several", "streamed", "triplets"]

/// Keeps the notices of a run.
private final class Notices: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}

@Suite(.serialized) struct GoldenCardTests {
    @Test(arguments: goldenRuns) func cardsAreTheReferences(_ name: String) throws {
        try withTemporaryDirectory { folder in
            let card = try CardRun.train(name, folder + "/run")
            try CardRun.expect(card, in: Goldens.path("cards/\(name)"), name)
        }
    }

    /// A model whose Router has no route for documents gives no similarities: the card says so, and the run ends all the same.
    @Test func whatCannotBeComputedIsLeftOut() throws {
        try withTemporaryDirectory { folder in
            let tasks: JSONObject = ["anchor": .string("query"), "positive": .string("doc")]
            let args: JSONObject = [
                "max_steps": .integer(2), "save_strategy": .string("no"), "router_mapping": .object(tasks),
            ]
            let configuration = try GoldenRun.configuration(
                model: Goldens.path("router/late/model"), folder + "/run", args: args)
            let (ensemble, heard) = (LocalEnsemble.single(), Notices())
            let inputs = try TrainingInputs(configuration, ensemble: ensemble)
            #expect(try Trainer(inputs, ensemble: ensemble, reports: [heard]).train() == .finished)
            let card = try String(contentsOfFile: folder + "/run/final/README.md", encoding: .utf8)
            #expect(
                card.contains("print(similarities.shape)\n# [1, 3]\n") && card.contains("model.encode_query(queries)"))
            #expect(heard.lines.contains { $0.hasPrefix("The model card has no similarities: ") })
        }
    }

    /// The options and the paper of every loss, with those of its inner ones.
    @Test func lossesAreDescribedAsByTheReference() throws {
        let cases = try #require(try JSONValue.parse(file: Goldens.path("cards/losses.json")).array)
        #expect(cases.count > 30)
        for golden in cases {
            let specification = try LossSpecification(option: try #require(golden["options"]))
            let loss = try LossRegistry.make(specification)
            var lines: [String] = []
            if let configuration = LossCard(loss: loss).configuration {
                lines = JSONValue.object(configuration).serialized(indent: 4).split(separator: "\n").map(String.init)
            }
            let wanted = try #require(golden["configuration"]?.string).split(separator: "\n").dropFirst().dropLast()
            // A path of the golden's maker.
            let isOurs = { (line: String) in !line.contains("\"decoder_name_or_path\"") }
            #expect(lines.filter(isOurs) == wanted.map { String($0.dropFirst(2)) }.filter(isOurs), "\(specification)")
            var facts = ModelCardFacts()
            facts.citations = [(specification.name, LossCard(loss: loss).citation)]
            facts.citations.removeAll { $0.bibtex.isEmpty }
            let heading = try #require(golden["heading"]?.string)
            let paper = try #require(golden["citation"]?.string)
            // The reference forgets the paper of this one.
            guard specification.name != "CachedGISTEmbedLoss" else { continue }
            #expect(facts.citations.isEmpty == paper.isEmpty, "\(specification.name)")
            let entry = "#### \(heading)\n```bibtex\n" + (paper.isEmpty ? "@inproceedings{reimers" : "\(paper)\n```\n")
            #expect(ModelCard(facts: facts).text.contains(entry), "\(specification.name)")
        }
    }
}

/// The cards of all golden runs, read by the hub's own library, and beside cards that the reference writes today.
@Suite(.serialized, .enabled(if: Reference.isThere, "launch/test --real has the reference")) struct RealCardTests {
    @Test func realHubsReadTheCards() throws {
        try withTemporaryDirectory { folder in
            try Reference.run("cards.py", [folder])
            for name in goldenRuns {
                let card = try CardRun.train(name, "\(folder)/\(name)/run")
                try CardRun.expect(card, in: "\(folder)/\(name)", name)
                try AtomicWrite.file(path: "\(folder)/\(name)/README.md", text: card)
            }
            try Reference.run("check_cards.py", [folder])
        }
    }
}
