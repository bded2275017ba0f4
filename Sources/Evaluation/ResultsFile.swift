// The CSV file to which an evaluator appends one row an evaluation.
//
// What: <output directory>/eval/<file>, the header written when the file is made. Ids of evaluators are part of the
// file's name; what cannot be in one (a slash, as in hub ids) becomes an underscore there, and stays in metric keys.
// The line end is the reference's: its csv module writes CR LF, its retrieval evaluator LF. A row of the same
// (epoch, steps) is replaced and not repeated, so that a resumed run leaves the file of an undisturbed one; rows outside
// training (-1, -1) are always appended.
//
// Reference: the write_csv parts of sentence_transformers/sentence_transformer/evaluation/*.py.

import Foundation
import TuttiFormats
import TuttiGround

/// One evaluator's results on disk: a CSV file below eval/ in the run's output directory.
public struct ResultsFile: Sendable {
    private let name: String
    private let columns: [String]
    private let lineEnd: String

    /// A file called `name`, with `columns` after epoch and steps.
    public init(name: String, columns: [String], lineEnd: String = "\r\n") {
        self.name = name
        self.columns = columns
        self.lineEnd = lineEnd
    }

    /// Adds the row of one evaluation; nothing without an output directory. Rank zero only.
    ///
    /// - Throws: 75 naming the file when it cannot be written.
    public func append(_ values: [Double], _ context: EvaluationContext) throws(TuttiError) {
        precondition(values.count == columns.count, "\(values.count) values for \(columns.count) columns")
        guard let outputDirectory = context.outputDirectory else { return }
        let folder = outputDirectory + "/eval"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(
                .retryable, "write evaluation results", folder, "cannot be made: \(error.localizedDescription)")
        }
        let path = folder + "/" + ResultsFile.fileName(name)
        let moment = ResultsFile.moment(context)
        let row = moment + values.map { "," + ResultsFile.spelling($0) }.joined()
        var lines = try readLines(path)
        if lines.isEmpty { lines = [(["epoch", "steps"] + columns).joined(separator: ",")] }
        if context.step >= 0, let place = lines.lastIndex(where: { $0.hasPrefix(moment + ",") }) {
            lines[place] = row
        } else {
            lines.append(row)
        }
        try AtomicWrite.file(path: path, text: lines.map { $0 + lineEnd }.joined())
    }

    /// `name` as the name of a file: without slashes and control characters.
    static func fileName(_ name: String) -> String {
        String(String.UnicodeScalarView(name.unicodeScalars.map { $0 == "/" || $0.value < 32 ? "_" : $0 }))
    }

    private func readLines(_ path: String) throws(TuttiError) -> [String] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let file = try MappedFile(path: path)
        return file.text.split(whereSeparator: \.isNewline).map(String.init)
    }

    /// "epoch,steps" as Python prints them: -1 stays an integer, epochs of training are floats.
    static func moment(_ context: EvaluationContext) -> String {
        let epoch = context.epoch == -1 ? "-1" : spelling(context.epoch)
        return "\(epoch),\(context.step)"
    }

    /// The number that reads in double precision as `value` reads in single, which is how NumPy prints its singles.
    static func digits(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }

    /// A number as Python's str prints it.
    static func spelling(_ value: Double) -> String { value.isNaN ? "nan" : pythonSpelling(of: value) }
}
