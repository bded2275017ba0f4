// `tutti launch-probe`: what a host says of itself before a job starts there, as JSON for the launcher. Not for users.

import ArgumentParser
import Foundation
import TuttiEnsembleMPI
import TuttiGround
import TuttiLaunch

struct LaunchProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "launch-probe", abstract: "Report the state of this host.", shouldDisplay: false)

    @Argument(help: ArgumentHelp("The job's working directory.", valueName: "folder"))
    var directory: String

    @Argument(help: ArgumentHelp("The hosts of the job.", valueName: "host"))
    var names: [String] = []

    func run() throws {
        let report = try HostReport.own(names: names, directory: directory, library: MPILibrary.version)
        try Output.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    }
}
