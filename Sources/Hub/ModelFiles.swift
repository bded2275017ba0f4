// ModelFiles: which files of a repository a model needs.
//
// modules.json says which folders belong to it; of each of them everything counts but weights of other frameworks, and
// PyTorch's own format where there is safetensors. Without modules.json the model is what the root holds.
//
// Reference: sentence_transformers/util/file_io.py; transformers/modeling_utils.py.

import TuttiGround

/// Chooses files by their names.
package enum ModelFiles {
    /// The files that say which other files are needed, read first.
    static let lists = ["modules.json", "router_config.json"]

    /// The files that a model of the files `all` needs, in their order.
    ///
    /// - Parameter folders: the folders of its modules, without those in the root; empty for a model of the root alone.
    static func needed(among all: [String], folders: [String]) -> [String] {
        let known = Set(all)
        return all.filter { path in
            let parts = path.split(separator: "/").map(String.init)
            guard let name = parts.last, !name.hasPrefix(".") else { return false }
            let folder = parts.dropLast().joined(separator: "/")
            guard folder.isEmpty || folders.contains(where: { folder == $0 || folder.hasPrefix($0 + "/") }) else {
                return false
            }
            return isNeeded(name, beside: folder, known)
        }
    }

    /// Whether the file `name` of `folder` is read.
    private static func isNeeded(_ name: String, beside folder: String, _ known: Set<String>) -> Bool {
        func holds(_ other: String) -> Bool { known.contains(folder.isEmpty ? other : folder + "/" + other) }
        let kind = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
        switch kind {
        case "json":
            // The list of shards of weights that are not read.
            if name.hasPrefix("pytorch_model") { return !holdsSafe(holds) }
            return !name.hasPrefix("tf_") && !name.hasPrefix("flax_") && name != "model_args.json"
        case "txt", "model", "jinja", "tiktoken", "spm", "bpe", "vocab": return true
        case "safetensors":
            // Shards and variants: only what a loader looks for.
            return name == "model.safetensors" || name == "adapter_model.safetensors"
                || name.hasPrefix("model-") && !holds("model.safetensors")
        case "bin":
            if name == "adapter_model.bin" { return !holds("adapter_model.safetensors") }
            return name.hasPrefix("pytorch_model") && !holdsSafe(holds)
        default: return false
        }
    }

    private static func holdsSafe(_ holds: (String) -> Bool) -> Bool {
        holds("model.safetensors") || holds("model.safetensors.index.json")
    }
}
