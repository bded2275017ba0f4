// swift-tools-version: 6.0
// A loss, an evaluator and a report written outside Tutti, and a run that uses them.

import PackageDescription

let package = Package(
    name: "Extensions",
    dependencies: [.package(name: "Tutti", path: "../..")],
    targets: [
        .executableTarget(
            name: "Extensions", dependencies: [.product(name: "Tutti", package: "Tutti")], path: "Sources")
    ],
    swiftLanguageModes: [.v6]
)
