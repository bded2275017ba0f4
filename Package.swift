// swift-tools-version: 6.0
// Tutti: distributed data-parallel training of sentence-embedding models on CPU clusters.
// The layer table that these dependencies draw is in Sources/README.md; Tests/LayeringTests holds every import to it.

import PackageDescription

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

/// A Swift module `TuttiX` whose sources are in `Sources/X`; every one may import Ground.
func module(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(
        name: "Tutti\(name)", dependencies: dependencies + ["TuttiGround"], path: "Sources/\(name)", exclude: exclude)
}

/// A library of the system that `CCompression` calls; bzip2, which has no pkg-config, is linked by name.
func compression(_ name: String, _ folder: String, pkgConfig: String? = nil, package: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/CCompression/system/\(folder)", pkgConfig: pkgConfig ?? folder,
        providers: [.apt([package])])
}

/// The tests of one module, in `Tests/XTests`.
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies + ["TestSupport", "FuzzTargets", "TuttiGround"],
        path: "Tests/\(name)Tests", resources: resources)
}

let package = Package(
    name: "Tutti",
    products: [
        .library(name: "Tutti", targets: ["Tutti"]),
        .library(name: "TuttiMPI", targets: ["TuttiMPI"]),
        .executable(name: "tutti", targets: ["TuttiCommand"]),
        .executable(name: "tutti-world", targets: ["TuttiWorld"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        // L0
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
        compression("CZlib", "zlib", package: "zlib1g-dev"),
        compression("CZstd", "zstd", pkgConfig: "libzstd", package: "libzstd-dev"),
        compression("CLZ4", "lz4", pkgConfig: "liblz4", package: "liblz4-dev"),
        compression("CSnappy", "snappy", package: "libsnappy-dev"),
        compression("CLZMA", "lzma", pkgConfig: "liblzma", package: "liblzma-dev"),
        .target(
            name: "CCompression", dependencies: ["CZlib", "CZstd", "CLZ4", "CSnappy", "CLZMA"],
            path: "Sources/CCompression", exclude: ["system"], linkerSettings: [.linkedLibrary("bz2")]),
        .target(name: "CTuttiKernels", path: "Sources/CTuttiKernels"),
        .target(name: "CTuttiMPI", dependencies: ["COpenMPI"], path: "Sources/CTuttiMPI"),
        .target(name: "CTuttiDigest", path: "Sources/CTuttiDigest"),
        .target(name: "CTuttiLaunch", path: "Sources/CTuttiLaunch"),
        .target(name: "CTuttiSignals", path: "Sources/CTuttiSignals"),
        .target(name: "CTuttiHTTP", path: "Sources/CTuttiHTTP"),
        .target(name: "CAllocationCounter", path: "Sources/CAllocationCounter"),
        .target(name: "TuttiGround", dependencies: ["CTuttiDigest"], path: "Sources/Ground"),
        // L1
        module("Formats", ["CCompression"]),
        module("Kernels", ["COpenBLAS", "CTuttiKernels"], exclude: ["PERFORMANCE.md"]),
        module("Ensemble", []),
        module("Net", ["CTuttiHTTP"]),
        module("Launch", ["TuttiNet", "CTuttiLaunch"]),
        // L2
        module("Text", ["TuttiFormats"]),
        module("Corpus", ["TuttiFormats"]),
        module("Encoders", ["TuttiKernels"]),
        module("Objectives", ["TuttiKernels", "TuttiEnsemble"]),
        module("EnsembleMPI", ["TuttiEnsemble", "CTuttiMPI"]),
        module("Hub", ["TuttiFormats", "TuttiNet"]),
        // L3
        module("Models", ["TuttiText", "TuttiEncoders", "TuttiFormats", "TuttiCorpus", "TuttiEnsemble", "TuttiHub"]),
        // L4
        module("Reports", ["TuttiFormats", "TuttiNet"]),
        module(
            "Evaluation",
            ["TuttiModels", "TuttiCorpus", "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiObjectives"]),
        // L5
        module(
            "Training",
            [
                "TuttiReports", "TuttiEvaluation", "TuttiModels", "TuttiObjectives", "TuttiEncoders", "TuttiCorpus",
                "TuttiText", "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiNet", "TuttiHub",
            ]),
        .target(
            name: "Tutti",
            dependencies: [
                "TuttiTraining", "TuttiReports", "TuttiEvaluation", "TuttiModels", "TuttiObjectives", "TuttiEncoders",
                "TuttiCorpus", "TuttiText", "TuttiKernels", "TuttiFormats", "TuttiHub", "TuttiEnsemble", "TuttiGround",
            ], path: "Sources/Tutti"),
        // L6
        .target(name: "TuttiMPI", dependencies: ["Tutti", "TuttiEnsembleMPI"], path: "Sources/TuttiMPI"),
        .executableTarget(
            name: "TuttiCommand",
            dependencies: [
                "TuttiTraining", "TuttiReports", "TuttiEvaluation", "TuttiModels", "TuttiObjectives", "TuttiEncoders",
                "TuttiCorpus", "TuttiText", "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiEnsembleMPI",
                "TuttiGround", "TuttiLaunch", "TuttiHub", "CTuttiSignals", argumentParser, yams,
            ], path: "Sources/tutti-cli"),
        .executableTarget(
            name: "TuttiWorld",
            dependencies: [
                "TuttiTraining", "TuttiReports", "TuttiEvaluation", "TuttiModels", "TuttiObjectives", "TuttiEncoders",
                "TuttiCorpus", "TuttiText", "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiEnsembleMPI",
                "TuttiGround", "CAllocationCounter",
            ], path: "Sources/tutti-world"),
        // Tests
        .target(
            name: "FuzzTargets", dependencies: ["TuttiFormats", "TuttiText", "TuttiGround"], path: "Tests/FuzzTargets"),
        .executableTarget(name: "TuttiFuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz"),
        .target(
            name: "TestSupport",
            dependencies: [
                "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiCorpus", "TuttiModels", "TuttiObjectives",
                "TuttiTraining", "TuttiGround", "TuttiReports", "TuttiNet",
            ], path: "Tests/TestSupport"),
        tests("Ground", ["CTuttiDigest"]),
        tests("Formats", ["TuttiFormats"]),
        tests("Kernels", ["TuttiKernels", "CTuttiKernels"]),
        tests("Ensemble", ["TuttiEnsemble"]),
        tests("Fuzz", []),
        tests("Text", ["TuttiText", "TuttiFormats"]),
        tests("Corpus", ["TuttiCorpus", "TuttiFormats"]),
        tests("Encoders", ["TuttiEncoders", "TuttiKernels", "TuttiFormats"]),
        tests("Objectives", ["TuttiObjectives", "TuttiKernels", "TuttiEnsemble"]),
        tests(
            "Models",
            [
                "TuttiModels", "TuttiText", "TuttiEncoders", "TuttiFormats", "TuttiEnsemble", "TuttiCorpus",
                "TuttiKernels", "TuttiHub",
            ]),
        tests(
            "Evaluation",
            [
                "TuttiEvaluation", "TuttiModels", "TuttiCorpus", "TuttiKernels", "TuttiEnsemble", "TuttiObjectives",
                "TuttiFormats",
            ]),
        tests(
            "Training",
            [
                "Tutti", "TuttiTraining", "TuttiReports", "TuttiEvaluation", "TuttiModels", "TuttiObjectives",
                "TuttiEncoders", "TuttiCorpus", "TuttiKernels", "TuttiFormats", "TuttiEnsemble", "TuttiNet",
            ]),
        tests("Reports", ["TuttiReports", "TuttiFormats", "TuttiNet"]),
        tests("Launch", ["TuttiLaunch"]),
        tests("Net", ["TuttiNet"]),
        tests("Hub", ["TuttiHub", "TuttiNet", "TuttiFormats"]),
        tests(
            "Command",
            [
                "TuttiFormats", "TuttiKernels", "TuttiCorpus", "TuttiEvaluation", "TuttiObjectives", "TuttiTraining",
                "TuttiNet",
            ]),
        tests("Layering", []),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
