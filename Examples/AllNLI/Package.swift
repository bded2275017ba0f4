// swift-tools-version: 6.0
// The training script of the sentence-transformers documentation, line by line.

import PackageDescription

let package = Package(
    name: "AllNLI",
    dependencies: [.package(name: "Tutti", path: "../..")],
    targets: [
        .executableTarget(name: "AllNLI", dependencies: [.product(name: "Tutti", package: "Tutti")], path: "Sources")
    ],
    swiftLanguageModes: [.v6]
)
