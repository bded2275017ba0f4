// The kept measurement of `--gemm auto`, and what is said of a slow provider.

import Foundation
import TestSupport
import Testing
import TuttiKernels
import TuttiTraining

@Suite struct GemmCacheTests {
    private let seconds: [GemmLayout: [GemmProvider: Double]] = [
        .forward: [.openblas: 0.010, .tutti: 0.003], .inputGradient: [.openblas: 0.002, .tutti: 0.003],
        .weightGradient: [.openblas: 0.004, .tutti: 0.004_000_001],
    ]

    @Test func whatWasMeasuredIsChosenAgain() throws {
        let scratch = try TemporaryDirectory()
        let cache = GemmCache(folder: scratch.path + "/a/b", key: "one processor; one library")
        #expect(cache.read() == nil)
        let measured = GemmSelection(seconds: seconds)
        cache.write(measured)
        let kept = try #require(cache.read())
        #expect(kept.seconds == seconds)
        #expect(kept.choice == measured.choice)
        #expect("\(kept.choice)" == "forward=tutti,input_gradient=openblas,weight_gradient=openblas")
        #expect(GemmCache(folder: cache.folder, key: "another processor; one library").read() == nil)
    }

    /// Whatever a file holds, the worst that follows is a new measurement.
    @Test(arguments: [
        "", "{", "[]", "{}", #"{"key": "other", "seconds": {}}"#,
        #"{"key": "k", "seconds": {"forward": {"tutti": 1}}}"#,
        #"{"key": "k", "seconds": {"forward": {"mkl": 1}, "input_gradient": {"tutti": 1}, "weight_gradient": {"tutti": 1}}}"#,
        #"{"key": "k", "seconds": {"forward": {"tutti": -1}, "input_gradient": {"tutti": 1}, "weight_gradient": {"tutti": 1}}}"#,
    ])
    func damagedFilesCountAsNone(_ text: String) throws {
        let scratch = try TemporaryDirectory()
        let cache = GemmCache(folder: scratch.path, key: "k")
        try Data(text.utf8).write(to: URL(fileURLWithPath: cache.file))
        #expect(cache.read() == nil)
        cache.write(GemmSelection(seconds: seconds))
        #expect(cache.read()?.seconds == seconds)
    }

    /// A folder that cannot be made (a file stands there) is no error.
    @Test func aCacheThatCannotBeWrittenIsNoError() throws {
        let scratch = try TemporaryDirectory()
        try Data("x".utf8).write(to: URL(fileURLWithPath: scratch.path + "/file"))
        let cache = GemmCache(folder: scratch.path + "/file/products", key: "k")
        cache.write(GemmSelection(seconds: seconds))
        #expect(cache.read() == nil)
    }

    /// The key names what a measurement depends on: the processor, the libraries, the widths, the providers.
    @Test func theKeySaysWhatTheMeasurementDependsOn() {
        let cache = GemmCache(hidden: 384, inner: 1536, providers: [.openblas, .tutti])
        #expect(cache.key.contains("384 x 1536") && cache.key.contains("openblas tutti"))
        #expect(cache.key.contains(Gemm.coreType))
        #expect(cache.key == GemmCache(hidden: 384, inner: 1536, providers: [.openblas, .tutti]).key)
        #expect(cache.key != GemmCache(hidden: 768, inner: 1536, providers: [.openblas, .tutti]).key)
        #expect(GemmCache.userFolder(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/tutti/products")
        #expect(GemmCache.userFolder(["XDG_CACHE_HOME": "", "HOME": "/h"]) == "/h/.cache/tutti/products")
    }

    @Test func aProviderThatIsThreeTimesSlowerIsNamed() throws {
        let measured = GemmSelection(seconds: seconds)
        let core = CoreType(chosen: "SkylakeX", on: ProcessorAbility(level: 4, isAMD: false), libraryHas: { _ in true })
        let said = GemmOption.remarks(on: GemmChoice(.openblas), measured: measured, core: core)
        #expect(said.count == 1)
        #expect(said.first?.contains("3.3 times as long") == true && said.first?.contains("by tutti") == true)
        #expect(GemmOption.remarks(on: GemmChoice(.tutti), measured: measured, core: core).isEmpty)
        #expect(GemmOption.remarks(on: measured.choice, measured: measured, core: core).isEmpty)
        let old = CoreType(chosen: "Prescott", on: ProcessorAbility(level: 4, isAMD: false), libraryHas: { _ in true })
        #expect(GemmOption.remarks(on: GemmChoice(.openblas), measured: nil, core: old).count == 1)
        #expect(GemmOption.remarks(on: GemmChoice(.tutti), measured: nil, core: old).isEmpty)
    }
}
