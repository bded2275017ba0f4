// The measured choice of providers of matrix products, kept from one run to the next.
//
// Two providers that are equally fast change places from one measurement to another, and their sums differ in the last
// bits; so a machine that has measured once keeps what it found, and two fresh runs on it are equal. One file for each
// processor, set of libraries, number of threads and shape of layer, in $XDG_CACHE_HOME/tutti/products (or
// ~/.cache/tutti/products). A file that is damaged, or of something else, counts as none; deleting it measures again.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiKernels

/// Measurements of `--gemm auto`, by what they depend on.
package struct GemmCache {
    /// The folder of the files.
    package let folder: String
    /// What the measurement depends on, in words.
    package let key: String

    /// The user's cache; `hidden` and `inner` are the widths of the layers that are measured.
    package init(hidden: Int, inner: Int, providers: [GemmProvider]) {
        self.init(
            folder: Self.userFolder(ProcessInfo.processInfo.environment),
            key: [
                Self.processor(), Gemm.libraries, "Tutti \(tuttiVersion)", "\(Parallel.threads) threads",
                "\(hidden) x \(inner)", providers.map(\.rawValue).joined(separator: " "),
            ].joined(separator: "; "))
    }

    /// The files of `folder`, for whatever `key` says.
    package init(folder: String, key: String) {
        (self.folder, self.key) = (folder, key)
    }

    /// The measurement that is kept for this key, if it is whole.
    package func read() -> GemmSelection? {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        let object: JSONObject?
        do { object = try JSONValue.parse(file: file).object } catch { return nil }  // damaged: measured again
        guard let object, object["key"]?.string == key, let kept = object["seconds"]?.object else { return nil }
        var seconds: [GemmLayout: [GemmProvider: Double]] = [:]
        for layout in GemmLayout.allCases {
            guard let times = kept[layout.rawValue]?.object, !times.keys.isEmpty else { return nil }
            for name in times.keys {
                guard let provider = GemmProvider(rawValue: name), let time = times[name]?.double, time > 0
                else { return nil }
                seconds[layout, default: [:]][provider] = time
            }
        }
        return GemmSelection(seconds: seconds)
    }

    /// Keeps a measurement. A folder that cannot be written is no error: the next run measures again.
    package func write(_ selection: GemmSelection) {
        var seconds = JSONObject()
        for layout in GemmLayout.allCases {
            var times = JSONObject()
            for provider in GemmProvider.allCases {
                if let time = selection.seconds[layout]?[provider] { times[provider.rawValue] = .number(time) }
            }
            seconds[layout.rawValue] = .object(times)
        }
        let object: JSONObject = ["key": .string(key), "seconds": .object(seconds)]
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try AtomicWrite.file(path: file, text: JSONValue.object(object).serialized(indent: 2) + "\n")
        } catch {
            return
        }
    }

    /// The file of this key.
    package var file: String {
        var digest = Digest()
        digest.update(key)
        return folder + "/" + digest.hexadecimal.prefix(16) + ".json"
    }

    /// Where a user's measurements are kept.
    package static func userFolder(_ environment: [String: String]) -> String {
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return cache + "/tutti/products" }
        return (environment["HOME"] ?? NSHomeDirectory()) + "/.cache/tutti/products"
    }

    /// Name and numbers of the processor, as Linux tells them, and the instruction level that the kernels use.
    private static func processor() -> String {
        var facts: [String] = []
        if let text = FileManager.default.contents(atPath: "/proc/cpuinfo") {
            for line in String(decoding: text, as: UTF8.self).split(separator: "\n", maxSplits: 64) {
                let sides = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                let names = [
                    "vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part",
                ]
                if sides.count == 2, names.contains(sides[0]), !facts.contains(where: { $0.hasPrefix(sides[0] + " ") })
                {
                    facts.append("\(sides[0]) \(sides[1])")
                }
            }
        }
        return (facts + ["level \(ProcessorAbility.current.level)"]).joined(separator: ", ")
    }
}
