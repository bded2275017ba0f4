// Ids of the real models under TUTTI_REAL_MODELS, and of the tokenizers without a model under TUTTI_REAL_TOKENIZERS
// (Tests/Golden/real_tokenizers.py), over all code points and 40,000 mixtures, against what
// Tests/Golden/check_tokenizer_real.py wrote into their folders.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiText

private let realModels = Reference.variable("TUTTI_REAL_MODELS")

@Suite(.enabled(if: realModels != nil, "needs TUTTI_REAL_MODELS")) struct RealTokenizerTests {
    @Test func idsAreTheReferencesOnEveryCodePoint() throws {
        let tokenizers = Reference.variable("TUTTI_REAL_TOKENIZERS")
        var folders: [String] = []
        for root in [try #require(realModels)] + (tokenizers.map { [$0] } ?? []) {
            let found = try FileManager.default.contentsOfDirectory(atPath: root).sorted()
                .map { "\(root)/\($0)" }.filter { folder in
                    ["tokenizer.json", "reference.json"].contains {
                        FileManager.default.fileExists(atPath: "\(folder)/\($0)")
                    }
                }
            try #require(!found.isEmpty, "there is no tokenizer in \(root)")
            folders += found
        }
        for folder in folders where !FileManager.default.fileExists(atPath: "\(folder)/tutti-tokens.bin") {
            try Reference.run("check_tokenizer_real.py", [folder])
        }
        for folder in folders {
            let tokenizer = try Tokenizer.load(directory: folder)
            let file = try MappedFile(path: "\(folder)/tutti-tokens.bin")
            var position = 0
            func next() -> Int32 {
                defer { position += 4 }
                return file.bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)
            }
            var scratch = TokenizerScratch()
            var ids: [Int32] = []
            var texts = 0
            var wrong: [String] = []
            while position < file.bytes.count {
                let length = Int(next())
                let text = String(decoding: file.bytes[position..<(position + length)], as: UTF8.self)
                position += length
                let expected = (0..<next()).map { _ in next() }
                ids.removeAll(keepingCapacity: true)
                tokenizer.encode(text, maximumLength: nil, appendingTo: &ids, scratch: &scratch)
                if ids != expected { wrong.append(text.debugDescription) }
                texts += 1
            }
            #expect(texts > 1_000_000)
            #expect(wrong.isEmpty, "\(folder): \(wrong.count) of \(texts) texts differ, first \(wrong.prefix(3))")
        }
    }
}
