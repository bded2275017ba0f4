// The command starts itself again with better OpenBLAS kernels, once, unless the user has chosen.
//
// A small library in front of OpenBLAS claims that Prescott kernels were chosen, as OpenBLAS does on a processor that it
// does not know; `obeys` lets it fall silent once OPENBLAS_CORETYPE is set.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiKernels

@Suite(.serialized) struct OpenBLASRestartTests {
    private func doctor(obeys: Bool, _ environment: [String: String], _ folder: String) throws -> JSONObject {
        let source = """
            #define _GNU_SOURCE 1
            #include <dlfcn.h>
            #include <stdlib.h>
            static int was_set;
            __attribute__((constructor)) static void look(void) { was_set = getenv("OPENBLAS_CORETYPE") != NULL; }
            char *openblas_get_corename(void) {
                char *(*real)(void) = (char *(*)(void))dlsym(RTLD_NEXT, "openblas_get_corename");
                return was_set && \(obeys ? 1 : 0) ? real() : "Prescott";
            }
            """
        try Data(source.utf8).write(to: URL(fileURLWithPath: folder + "/front.c"))
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = ["clang", "-shared", "-fPIC", "-o", folder + "/front.so", folder + "/front.c", "-ldl"]
        try compiler.run()
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0)

        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: try TuttiProcess.executable)
        process.arguments = ["doctor", "--json", "--threads", "1"]
        process.standardOutput = output
        var all = ProcessInfo.processInfo.environment.filter { $0.key != "OPENBLAS_CORETYPE" }
        all["LD_PRELOAD"] = folder + "/front.so"
        all.merge(environment) { $1 }
        process.environment = all
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try #require(try JSONValue.parse(String(decoding: text, as: UTF8.self)).object)
    }

    /// What OpenBLAS should use here instead of Prescott; nil where Prescott is right.
    private var expected: String? {
        let processor = ProcessorAbility.current
        switch processor.level {
        case 4: return "SkylakeX"
        case 3: return processor.isAMD ? "Zen" : "Haswell"
        default: return nil
        }
    }

    @Test func oldKernelsAreReplaced() throws {
        let scratch = try TemporaryDirectory()
        let facts = try doctor(obeys: true, [:], scratch.path)
        #expect(facts["blas_core_type"]?.string == expected ?? "Prescott")
        #expect(facts["blas_core_type_warning"] == nil)
        #expect((facts["blas_core_type_note"] != nil) == (expected != nil))
    }

    @Test func aLibraryThatDoesNotObeyIsAskedOnce() throws {
        let scratch = try TemporaryDirectory()
        let facts = try doctor(obeys: false, [:], scratch.path)
        #expect(facts["blas_core_type"]?.string == "Prescott")
        #expect((facts["blas_core_type_warning"] != nil) == (expected != nil))
        #expect((facts["blas_core_type_note"]?.string?.contains("ignored") ?? false) == (expected != nil))
    }

    @Test func theUsersChoiceWins() throws {
        let scratch = try TemporaryDirectory()
        let facts = try doctor(obeys: true, ["OPENBLAS_CORETYPE": "Prescott"], scratch.path)
        #expect(facts["blas_core_type"]?.string == "Prescott")
        #expect(facts["blas_core_type_note"] == nil)
        #expect(
            (facts["blas_core_type_warning"]?.string?.contains("OPENBLAS_CORETYPE is set") ?? false)
                == (expected != nil))
    }
}
