// `tutti launch-sweep`: the launcher's hand on another host; it wakes or ends what is left there of a job. Not for users.

import ArgumentParser
import TuttiGround
import TuttiLaunch

struct LaunchSweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "launch-sweep", abstract: "Wake or end the processes of a job on this host.",
        shouldDisplay: false)

    @Argument(help: ArgumentHelp("What is done to them.", valueName: "wake|end"))
    var action: String

    @Argument(help: ArgumentHelp("The mark of the job.", valueName: "mark"))
    var mark: String

    func run() throws {
        guard let action = JobProcesses.Action(rawValue: action) else {
            throw TuttiError(.usage, "", action, "is not wake or end")
        }
        guard !mark.isEmpty else { throw TuttiError(.usage, "", "launch-sweep", "needs the mark of a job") }
        try Output.line("\(JobProcesses.sweep(mark, action).signalled)")
    }
}
