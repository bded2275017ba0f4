// Suggestions for misspelled names, the one-line form of errors, and the digest's known answers.

import Testing
import TuttiFormats

@Suite struct NamesAndDigestsTests {
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

    @Test func digestsHaveTheirKnownAnswers() {
        func digest(_ text: String, pieces: Int = .max) -> UInt64 {
            var digest = ContentDigest()
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                Array(rest.prefix(pieces)).withUnsafeBytes { digest.update($0) }
                rest = rest.dropFirst(pieces)
            }
            return digest.value
        }
        // XXH64 with seed 0, from the reference implementation.
        #expect(digest("") == 0xEF46_DB37_51D8_E999)
        #expect(digest("a") == 0xD24E_C4F1_A98C_6E5B)
        #expect(digest("abc") == 0x44BC_2CF5_AD77_0999)
        #expect(digest("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
        let long = String(repeating: "0123456789abcdef", count: 40) + "tail"
        for pieces in [1, 3, 31, 32, 33, 64, 100] { #expect(digest(long, pieces: pieces) == digest(long)) }
        #expect(digest(long) != digest(long + "x"))
    }
}
