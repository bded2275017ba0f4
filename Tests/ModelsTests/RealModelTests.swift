// Embeddings of the real models under TUTTI_REAL_MODELS (minilm/ and mpnet/) against the reference, whose environment
// is TUTTI_PEER and which Tests/Golden/real_embeddings.py asks.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

private let realModels = Reference.variable("TUTTI_REAL_MODELS")

@Suite(.enabled(if: realModels != nil, "needs TUTTI_REAL_MODELS")) struct RealModelTests {
    /// 200 texts of 1 token to past the limit, shuffled.
    @Test func realEmbeddingsAreTheReferences() throws {
        let root = try #require(realModels)
        try withTemporaryDirectory { folder in
            try Reference.run("real_embeddings.py", [folder, "minilm=\(root)/minilm", "mpnet=\(root)/mpnet"])
            let cases = try JSONValue.parse(file: folder + "/cases.json")
            for (name, bound) in [("minilm", 2e-6), ("mpnet", 5e-6)] {
                let texts = try #require(cases[name]?["texts"]?.array).compactMap(\.string)
                let found = try SentenceEncoder.load("\(root)/\(name)").encode(texts).flattened
                let wanted = try SafetensorsFile(path: "\(folder)/\(name).safetensors").floats("embeddings")
                let difference = largestDifference(found, wanted)
                print("\(name): \(texts.count) texts, largest difference \(difference)")
                #expect(texts.count == 200 && found.count == wanted.count && difference <= bound)
            }
        }
    }
}
