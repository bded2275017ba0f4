// LaunchOptions: the command line of `tutti launch`, up to the subcommand or program.
//
// Parsed by hand: users type mpirun's spellings (-np, --mca KEY VALUE), and everything from the first word that is not
// an option belongs to the program.

import TuttiGround

/// The launcher's options.
package struct LaunchOptions: Equatable, Sendable {
    /// What the ranks run.
    package enum Job: Equatable, Sendable {
        /// A subcommand of `tutti` with its arguments.
        case subcommand([String])
        /// Any program with its arguments.
        case program([String])
    }

    /// Whether ranks are pinned to cores.
    package enum Binding: String, Sendable, CaseIterable {
        case core, none
    }

    /// An Open MPI parameter.
    package struct Setting: Equatable, Sendable {
        package var key: String
        package var value: String

        /// A parameter with its value.
        package init(key: String, value: String) { (self.key, self.value) = (key, value) }
    }

    /// Ranks; nil: from the machine, the hosts or Slurm.
    package var ranks: Int?
    /// Threads per rank; nil: its cores.
    package var threads: Int?
    /// A hostfile, one `name slots=N` per line.
    package var hostfile: String?
    /// Hosts as A:N,B:N.
    package var hosts: String?
    /// Whether ranks are pinned; nil: if nobody else is pinned to the same cores.
    package var binding: Binding?
    /// Megabytes of memory to plan per rank.
    package var megabytesPerRank = 2048
    /// Variables for ranks on other hosts, as NAME or NAME=VALUE.
    package var exported: [String] = []
    /// Open MPI parameters.
    package var mca: [Setting] = []
    /// Start without looking at the hosts.
    package var isUnchecked = false
    /// How often the job is started again after code 75; nil: never.
    package var restarts: Int?
    /// Seconds that the ranks have to save and stop after the first signal.
    package var patience = 300
    /// Do not print the layout.
    package var isQuiet = false
    /// Only print the plan.
    package var isDryRun = false
    /// Only print the help.
    package var wantsHelp = false
    /// What the ranks run.
    package var job = Job.program([])

    /// No options.
    package init() {}

    /// Parses the arguments after `tutti launch`.
    ///
    /// - Throws: code 64 naming the option.
    package init(_ arguments: [String]) throws(TuttiError) {
        var rest = arguments[...]
        func value(of option: String) throws(TuttiError) -> String {
            guard let value = rest.popFirst() else { throw LaunchOptions.usage(option, "needs a value") }
            return value
        }
        func number(of option: String) throws(TuttiError) -> Int {
            let text = try value(of: option)
            guard let number = Int(text), number > 0, text.allSatisfy(\.isNumber) else {
                throw LaunchOptions.usage(option, "must be a positive integer, not \"\(text)\"")
            }
            return number
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "-np", "-n", "--ranks": ranks = try number(of: argument)
            case "--threads": threads = try number(of: argument)
            case "--hostfile": hostfile = try value(of: argument)
            case "--host": hosts = try value(of: argument)
            case "--bind":
                let text = try value(of: argument)
                binding = Binding(rawValue: text)
                if binding == nil { throw LaunchOptions.usage(argument, "must be core or none, not \"\(text)\"") }
            case "--memory-per-rank": megabytesPerRank = try number(of: argument)
            case "-x": exported.append(try value(of: argument))
            case "--mca":
                guard rest.count >= 2 else { throw LaunchOptions.usage(argument, "needs a key and a value") }
                mca.append(Setting(key: try value(of: argument), value: try value(of: argument)))
            case "--restarts":
                let text = try value(of: argument)
                guard let number = Int(text), number >= 0, text.allSatisfy(\.isNumber) else {
                    throw LaunchOptions.usage(argument, "must be a number of restarts, not \"\(text)\"")
                }
                restarts = number
            case "--no-check": isUnchecked = true
            case "--patience": patience = try number(of: argument)
            case "--quiet": isQuiet = true
            case "--dry-run": isDryRun = true
            case "-h", "--help":
                wantsHelp = true
                return
            case "--":
                guard !rest.isEmpty else { throw LaunchOptions.nothingToRun }
                job = .program(Array(rest))
                return
            case let option where option.hasPrefix("-"):
                throw TuttiError(
                    .usage, "", option, "unknown option of launch",
                    hint: "tutti launch --help lists them; options of the subcommand come after it.")
            default:
                let words = argument == "tutti" ? Array(rest) : [argument] + rest
                guard !words.isEmpty else { throw LaunchOptions.nothingToRun }
                job = .subcommand(words)
                return
            }
        }
        throw LaunchOptions.nothingToRun
    }

    private static let nothingToRun = TuttiError(
        .usage, "", "launch", "nothing to run",
        hint: "tutti launch -np 2 train CONFIG; tutti launch --help says more.")

    private static func usage(_ option: String, _ problem: String) -> TuttiError {
        TuttiError(.usage, "", option, problem)
    }
}
