// The loops of the C kernels: what the compiler must be able to make of them.

import Foundation
import Testing

/// Names that the vectorised loops of `source` test, though the compiler cannot decide the test: "line: name".
///
/// A pointer that may be null, tested inside of a loop, becomes a masked load from address 0 in every iteration. It has no
/// effect but costs a microcode assist, some hundred cycles.
func testedPointers(_ source: String) -> [String] {
    let lines = source.components(separatedBy: "\n")
    var found: [String] = []
    for start in lines.indices where lines[start].contains("VECTOR_LOOP") && !lines[start].contains("#define") {
        var (depth, place) = (0, start + 1)
        while place < lines.count {
            let line = lines[place]
            for match in line.matches(of: /(?:\bif \(!?|\(|[=,&|] )([a-z_]\w*) *(?:\?|\) )/) {
                let name = match.output.1
                guard match.output.0.hasPrefix("if") || match.output.0.hasSuffix("?") else { continue }
                let isNumber = source.contains("const bool \(name)") || source.contains("const int \(name)")
                if !isNumber { found.append("\(place + 1): \(name)") }
            }
            depth += line.count { $0 == "{" } - line.count { $0 == "}" }
            place += 1
            if depth <= 0, line.contains(";") || line.contains("}") { break }
        }
    }
    return found
}

@Suite struct KernelLoopTests {
    @Test func noLoopTestsAPointer() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/CTuttiKernels").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
            $0.hasSuffix(".c") || $0.hasSuffix(".h")
        }
        var loops = 0
        for name in names {
            let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
            loops += text.components(separatedBy: "VECTOR_LOOP\n").count - 1
            #expect(testedPointers(text) == [], "\(name)")
        }
        #expect(loops > 60)
    }

    @Test func testsOfPointersAreFound() {
        let text = """
            INLINE void a(const bool known, const float *bias, float *x) {
                if (bias) {
                    VECTOR_LOOP
                    for (int i = 0; i < 9; i++) x[i] += bias[i];
                }
                VECTOR_LOOP
                for (int i = 0; i < 9; i++) {
                    float u = bias ? x[i] + bias[i] : x[i];
                    if (mean) {
                        u += (before ? before[i] : 0.0f) + (known ? 1.0f : x[i] > 0 ? 2.0f : s.first ? 1.0f : 0.0f);
                    }
                    x[i] = u;
                }
                float y = bias ? 1 : 2;
            }
            """
        #expect(testedPointers(text) == ["8: bias", "9: mean", "10: before"])
    }
}
