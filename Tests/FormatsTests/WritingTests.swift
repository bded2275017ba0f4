// Writing: whole or not at all, full disks told as such, the previous version untouched.

import Foundation
import TestSupport
import Testing
import TuttiFormats

@Suite(.serialized) struct WritingTests {
    private struct Interrupted: Error {}

    private func text(_ path: String) throws -> String { String(decoding: try bytes(of: path), as: UTF8.self) }

    @Test func filesAreReplacedWhole() throws {
        let scratch = try Scratch()
        try AtomicWrite.file(path: scratch.file("a"), text: "one")
        try AtomicWrite.file(path: scratch.file("a"), bytes: Array("twö".utf8))
        #expect(try text(scratch.file("a")) == "twö")
        #expect(try scratch.names == ["a"])
    }

    @Test func aFullDeviceIsRetryable() throws {
        for size in [1, 100_000] {
            let error = try #require(
                failure {
                    let output = try OutputFile(path: "/dev/full")
                    try output.write(String(repeating: "x", count: size))
                    try output.finish()
                })
            #expect(error.kind == .retryable && error.subject == "/dev/full")
            #expect(error.problem.contains("No space left on device"))
        }
    }

    @Test func aFileThatCannotGrowLeavesThePreviousOne() throws {
        let scratch = try Scratch()
        let path = scratch.file("weights.safetensors")
        try AtomicWrite.file(path: path, text: "previous")
        let values = [Float](repeating: 1, count: 100_000)
        let error = withFileSizeLimit(65_536) {
            values.withUnsafeBytes { buffer in
                failure { try SafetensorsWriter.write(path: path, tensors: [("a", .f32, [values.count], buffer)]) }
            }
        }
        #expect(error?.kind == .retryable && error?.subject == path)
        #expect(try text(path) == "previous")
        #expect(try scratch.names == ["weights.safetensors"])
    }

    @Test func foldersAreReplacedWhole() throws {
        let scratch = try Scratch()
        let path = scratch.file("final")
        for version in ["one", "two"] {
            try AtomicWrite.directory(finalPath: path + "/") { temporary in
                try FileManager.default.createDirectory(
                    atPath: temporary + "/1_Pooling", withIntermediateDirectories: false)
                try AtomicWrite.file(path: temporary + "/1_Pooling/config.json", text: version)
                try AtomicWrite.file(path: temporary + "/\(version)", text: version)
            }
            #expect(try text(path + "/1_Pooling/config.json") == version)
        }
        #expect(try scratch.names == ["final"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == ["1_Pooling", "two"])
    }

    @Test func aFailedFolderLeavesThePreviousOne() throws {
        let scratch = try Scratch()
        let path = scratch.file("final")
        try AtomicWrite.directory(finalPath: path) { try AtomicWrite.file(path: $0 + "/a", text: "previous") }
        #expect(throws: Interrupted.self) {
            try AtomicWrite.directory(finalPath: path) { temporary in
                try AtomicWrite.file(path: temporary + "/a", text: "half")
                throw Interrupted()
            }
        }
        let full = withFileSizeLimit(4096) {
            failure {
                try AtomicWrite.directory(finalPath: path) { temporary in
                    try AtomicWrite.file(path: temporary + "/a", text: String(repeating: "x", count: 100_000))
                }
            }
        }
        #expect(full?.kind == .retryable)
        #expect(try text(path + "/a") == "previous")
        #expect(try scratch.names == ["final"])
    }

    @Test func whatACrashLeftIsClearedOrPutBack() throws {
        let scratch = try Scratch()
        let path = scratch.file("final")
        // A crash while writing leaves final.tmp; one between the renames leaves final.old and no final.
        for name in ["final.tmp", "final.old"] {
            try FileManager.default.createDirectory(atPath: scratch.file(name), withIntermediateDirectories: false)
            try AtomicWrite.file(path: scratch.file(name) + "/a", text: name)
        }
        try AtomicWrite.recover(finalPath: path)
        #expect(try text(path + "/a") == "final.old")
        try AtomicWrite.directory(finalPath: path) { temporary in
            #expect(try FileManager.default.contentsOfDirectory(atPath: temporary).isEmpty)
            try AtomicWrite.file(path: temporary + "/a", text: "new")
        }
        #expect(try text(path + "/a") == "new")
        #expect(try scratch.names == ["final"])
    }

    @Test func missingFoldersAreToldAsSuch() throws {
        let scratch = try Scratch()
        let error = try #require(failure { try AtomicWrite.file(path: scratch.file("none/a"), text: "x") })
        #expect(error.kind == .missingFile && error.subject == scratch.file("none/a"))
        #expect(failure { try AtomicWrite.directory(finalPath: scratch.file("none/b")) { _ in } }?.kind == .missingFile)
    }

    @Test func linksAreReplacedAndNeverWrittenThrough() throws {
        let scratch = try Scratch()
        try AtomicWrite.file(path: scratch.file("victim"), text: "untouched")
        let target = scratch.file("results.csv")
        for link in [target, target + ".tmp"] {
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: scratch.file("victim"))
        }
        try AtomicWrite.file(path: target, text: "rows")
        let output = try OutputFile(path: target)
        try output.write("more rows")
        try output.finish()
        #expect(try text(scratch.file("victim")) == "untouched")
        #expect(try text(target) == "more rows")
        #expect(try scratch.names == ["results.csv", "victim"])
    }

    @Test func aPlantedLinkIsNotTakenForTheOlderFolder() throws {
        let scratch = try Scratch()
        try AtomicWrite.directory(finalPath: scratch.file("foreign")) {
            try AtomicWrite.file(path: $0 + "/a", text: "untouched")
        }
        try FileManager.default.createSymbolicLink(
            atPath: scratch.file("final.old"), withDestinationPath: scratch.file("foreign"))
        try AtomicWrite.recover(finalPath: scratch.file("final"))
        #expect(!FileManager.default.fileExists(atPath: scratch.file("final")))
        #expect(try text(scratch.file("foreign/a")) == "untouched")
    }
}
