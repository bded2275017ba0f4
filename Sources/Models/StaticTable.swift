// The weights of a StaticEmbedding as one table, as sentence-transformers and model2vec store it.
//
//   sentence-transformers   embedding.weight [V, D]
//   model2vec               embeddings [R, D], perhaps mapping [V] (the row of each token) and weights [V] (its factor)
//
// model2vec's files are folded as in the reference: row t is embeddings[mapping[t]] * weights[t], in single precision at
// least. The folded table is in memory, and a saved model has it whole.
//
// Reference: StaticEmbedding.load and _fold_model2vec_weights in
// sentence_transformers/sentence_transformer/modules/static_embedding.py.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Reads the table of a StaticEmbedding.
enum StaticTable {
    /// The most numbers that a small file may be folded into.
    private static let largest = 1 << 30

    /// `file` as a file with the table alone, folded where it is stored in parts.
    ///
    /// Throws: `.data` that names the tensor at fault.
    static func read(_ file: TensorFile) throws(TuttiError) -> TensorFile {
        guard file.info(StaticEmbedding.table) == nil, let embeddings = file.info("embeddings") else { return file }
        let (mapping, weights) = (file.info("mapping"), file.info("weights"))
        guard embeddings.shape.count == 2 else {
            throw file.tensorError(embeddings, "has the shape \(embeddings.shape), where a table is needed")
        }
        let (rows, width) = (embeddings.shape[0], embeddings.shape[1])
        let tokens = mapping?.count ?? rows
        for part in [mapping, weights].compactMap({ $0 }) where part.shape != [tokens] {
            throw file.tensorError(part, "has the shape \(part.shape), where one number a token is needed: [\(tokens)]")
        }
        let (size, overflows) = tokens.multipliedReportingOverflow(by: width)
        guard !overflows, size <= StaticTable.largest else {
            throw file.tensorError(embeddings, "makes \(tokens) x \(width) numbers, more than can be read")
        }
        let sources = try mapping.map { info throws(TuttiError) in try file.indices(info, below: rows) }
        let factors = try weights.map { info throws(TuttiError) in try file.doubles(info) }
        let values = try file.doubles(embeddings)
        return try TensorFile(
            inMemory: StaticEmbedding.table, shape: [tokens, width], sourcePath: file.path
        ) { table in
            for token in 0..<tokens {
                let start = (sources?[token] ?? token) * width
                let factor = factors?[token] ?? 1
                for column in 0..<width { table[token * width + column] = Float(values[start + column] * factor) }
            }
        }
    }

    /// The settings that the table's shape gives.
    ///
    /// Throws: `.data` if there is no such table.
    static func family(of weights: TensorFile) throws(TuttiError) -> StaticEmbedding {
        guard let info = weights.info(StaticEmbedding.table) else {
            throw TuttiError(
                .data, "read weights", weights.path, "has no tensor '\(StaticEmbedding.table)'",
                hint: "A StaticEmbedding has it, or model2vec's 'embeddings'.")
        }
        guard info.shape.count == 2, info.count > 0 else {
            throw weights.tensorError(info, "has the shape \(info.shape), where a table [tokens, width] is needed")
        }
        return StaticEmbedding(rows: info.shape[0], width: info.shape[1])
    }
}
