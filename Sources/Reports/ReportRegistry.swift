// The registry of reports: one line each, and open to reports written outside the package.

import TuttiFormats
import TuttiGround

/// What a report knows about its run when it is created.
public struct ReportContext: Sendable {
    /// Where the run writes.
    public var outputDirectory: String
    /// `args.run_name`; nil if the run has no name.
    public var runName: String?

    /// A run's folder and name.
    public init(outputDirectory: String, runName: String? = nil) {
        self.outputDirectory = outputDirectory
        self.runName = runName
    }
}

/// A kind of report that `report_to` can name.
public struct ReportEntry: Sendable {
    /// Its name in a configuration.
    public let name: String
    /// What it is, in a few words.
    public let summary: String
    /// Creates it for a run; called on rank zero.
    public let make: @Sendable (ReportContext) throws -> any Report

    /// Describes a kind of report.
    public init(name: String, summary: String, make: @escaping @Sendable (ReportContext) throws -> any Report) {
        self.name = name
        self.summary = summary
        self.make = make
    }
}

/// The known reports.
public enum ReportRegistry {
    /// One line per report.
    private static let registry = OpenRegistry<ReportEntry>(
        "ReportRegistry",
        [
            MetricsLog.entry, CSVLog.entry, TensorBoardReport.entry, MLflowReport.entry, WandbReport.entry,
            HTMLReport.entry, DiagnosisReport.entry,
        ]
    ) { $0.name }
    /// All reports, those of the package first.
    public static var all: [ReportEntry] { registry.all }

    /// Adds a report from outside the package; one of the same name is replaced.
    public static func add(_ entry: ReportEntry) { registry.add(entry) }

    /// The entry of a name.
    ///
    /// - Throws: a usage error with the nearest name.
    public static func entry(named name: String) throws(TuttiError) -> ReportEntry {
        let all = all
        if let entry = all.first(where: { $0.name == name }) { return entry }
        throw TuttiError(
            .usage, "choose the reports", "args.report_to", "unknown report \"\(name)\"",
            hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
    }
}
