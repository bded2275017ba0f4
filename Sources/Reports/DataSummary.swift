// What a page says of the data of a run: `output_dir/tutti_data.json`, which every run writes when it begins.

import Foundation
import TuttiFormats
import TuttiGround

/// The size of a data set, and the lengths of its texts.
package struct DataSummary: Sendable, Equatable {
    /// A column of texts.
    package struct Column: Sendable, Equatable {
        package var name: String
        /// The unit of lengths: "tokens", or "characters" of a model that adds up words.
        package var unit: String
        /// Of the first rows: the shortest, mean and longest text as the model reads it, without prompts.
        package var (least, mean, most) = (0, 0.0, 0)
        /// The share of the first rows whose text is cut.
        package var cutShare: Double
        /// The share of the texts of `rowsCompared` rows that an earlier row has too.
        package var repeatedShare: Double

        package init(
            name: String, unit: String, least: Int, mean: Double, most: Int, cutShare: Double, repeatedShare: Double
        ) {
            (self.name, self.unit, self.least, self.mean, self.most) = (name, unit, least, mean, most)
            (self.cutShare, self.repeatedShare) = (cutShare, repeatedShare)
        }
    }

    /// Its name, or the file that it comes from.
    package var name: String
    /// "training" or "evaluation".
    package var use: String
    /// Rows; nil for a stream.
    package var rows: Int?
    /// The rows at the beginning of which lengths and repetitions are known.
    package var (rowsMeasured, rowsCompared) = (0, 0)
    /// The columns of texts; none of a stream.
    package var columns: [Column] = []

    /// A data set of which only the name is known.
    package init(name: String, use: String) { (self.name, self.use) = (name, use) }

    // MARK: The file

    private static let file = "tutti_data.json"

    /// Writes the data sets of the run in `directory`, unless the file says so already.
    package static func write(_ all: [DataSummary], in directory: String) throws(TuttiError) {
        let json: JSONObject = ["datasets": .array(all.map { .object($0.json) })]
        let text = JSONValue.object(json).serialized(indent: 2) + "\n"
        let path = directory + "/" + file
        if FileManager.default.contents(atPath: path).map({ $0.elementsEqual(text.utf8) }) == true { return }
        try AtomicWrite.file(path: path, text: text)
    }

    /// The data sets of the run in `directory`; none where an earlier version began it.
    ///
    /// Throws: `.data` naming a file that is no JSON.
    static func read(in directory: String) throws(TuttiError) -> [DataSummary] {
        let path = directory + "/" + file
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return (try JSONValue.parse(file: path)["datasets"]?.array ?? []).compactMap(\.object).compactMap(
            DataSummary.init)
    }

    private var json: JSONObject {
        var json: JSONObject = ["name": .string(name), "use": .string(use)]
        json["rows"] = rows.map { .integer(Int64($0)) } ?? .null
        json["rows_measured"] = .integer(Int64(rowsMeasured))
        json["rows_compared"] = .integer(Int64(rowsCompared))
        json["columns"] = .array(
            columns.map { column in
                .object([
                    "name": .string(column.name), "unit": .string(column.unit), "min": .integer(Int64(column.least)),
                    "mean": .number(column.mean), "max": .integer(Int64(column.most)),
                    "cut_share": .number(column.cutShare), "repeated_share": .number(column.repeatedShare),
                ])
            })
        return json
    }

    private init?(_ json: JSONObject) {
        guard let name = json["name"]?.string, let use = json["use"]?.string else { return nil }
        self.init(name: name, use: use)
        rows = json["rows"]?.int
        (rowsMeasured, rowsCompared) = (json["rows_measured"]?.int ?? 0, json["rows_compared"]?.int ?? 0)
        columns = (json["columns"]?.array ?? []).compactMap { column in
            guard let name = column["name"]?.string, let unit = column["unit"]?.string, let least = column["min"]?.int,
                let mean = column["mean"]?.double, let most = column["max"]?.int
            else { return nil }
            return Column(
                name: name, unit: unit, least: least, mean: mean, most: most,
                cutShare: column["cut_share"]?.double ?? 0,
                repeatedShare: column["repeated_share"]?.double ?? 0)
        }
    }
}
