// swift-tools-version: 6.0
// Programs that use Tutti as a library.

import PackageDescription

/// An example, in a folder of its name.
func example(_ name: String) -> Target {
    .executableTarget(
        name: name, dependencies: [.product(name: "Tutti", package: "Tutti")], path: "\(name)/Sources")
}

let package = Package(
    name: "Examples",
    dependencies: [.package(name: "Tutti", path: "..")],
    targets: [
        example("AllNLI"),  // the training script of the sentence-transformers documentation, line by line
        example("Extensions"),  // a loss, an evaluator and a report written outside Tutti, and a run that uses them
    ],
    swiftLanguageModes: [.v6]
)
