// Where a module of modules.json is, checked: inside the model's folder, a folder of its own, no link that leads out.
//
// Why: a model is saved into the folders that its modules.json names. "../../victim", an absolute path, or a link that
// leaves the model would write over foreign files; two modules in one folder would write over each other. An empty path
// is the root, which the reference gives to the Transformer and to no other module that is read here.

import Foundation
import TuttiGround

/// The folder of one module, relative to the model's folder.
struct ModulePath {
    /// The path in plain form: "" for the root, else names joined by "/".
    let folder: String

    /// What a saved model's root holds itself.
    private static let rootFiles: Set<String> = [
        "modules.json", "config.json", "router_config.json", "config_sentence_transformers.json",
        "sentence_bert_config.json", "README.md",
        "model.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
        "special_tokens_map.json", "added_tokens.json", "trainer_state.json", "tutti_state.json",
        "optimizer.safetensors", "loss.safetensors",
    ]

    /// Checks `text` of the entry at `place` in the model folder `root`.
    ///
    /// Throws: `.data` that says what is wrong with it.
    init(_ text: String, isFirst: Bool, root: String, place: String) throws(TuttiError) {
        func refused(_ problem: String) -> TuttiError {
            TuttiError(
                .data, "read model", place, "the path '\(text)' \(problem)",
                hint: "A module needs a folder of its own inside the model's folder, such as '1_Pooling'.")
        }
        guard !text.hasPrefix("/") else { throw refused("is absolute") }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw refused("has control characters")
        }
        let names = text.split(separator: "/").map(String.init).filter { $0 != "." }
        guard !names.contains("..") else { throw refused("leads out of the model's folder") }
        folder = names.joined(separator: "/")
        guard let first = names.first else {
            guard isFirst else { throw refused("is the root, which belongs to the Transformer") }
            return
        }
        guard !ModulePath.rootFiles.contains(first) else { throw refused("is the name of a file of the model") }
        guard let real = ModulePath.resolved(root + "/" + folder) else { return }  // a folder that may be missing
        guard let base = ModulePath.resolved(root), real.hasPrefix(base == "/" ? "/" : base + "/") else {
            throw refused("is a link that leads out of the model's folder")
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: real, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw refused("is not a folder")
        }
    }

    /// What tells two folders apart: the place behind links where the folder is there.
    func identity(in root: String) -> String { ModulePath.resolved(root + "/" + folder) ?? folder }

    /// The path without links; nil where nothing is there.
    private static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
