// Suggestions for misspelled names, and the one-line form of errors.

import Testing
import TuttiFormats
import TuttiGround

@Suite struct NamesAndErrorsTests {
    @Test func theNearestNameIsFound() {
        let names = ["learning_rate", "num_train_epochs", "per_device_train_batch_size", "seed"]
        #expect(nearestName(to: "learningrate", among: names) == "learning_rate")
        #expect(nearestName(to: "Learning-Rate", among: names) == "learning_rate")
        #expect(nearestName(to: "per_device_batch_size", among: names) == "per_device_train_batch_size")
        #expect(nearestName(to: "sede", among: names) == "seed")
        #expect(nearestName(to: "zzz", among: names) == nil)
        #expect(nearestName(to: "x", among: []) == nil)
        #expect(nearestName(to: "", among: ["a"]) == nil)
    }

    @Test func errorsAreOneLine() {
        let error = TuttiError(.data, "read table", "f.csv:2:3", "the row\nhas 2 fields", hint: "Fix it.")
        #expect(error.description == "f.csv:2:3: the row has 2 fields (while: read table). Fix it.")
        #expect(TuttiError(.usage, "", "", "no").description == "no.")
        #expect(TuttiError.Kind.retryable.rawValue == 75)
    }
}
