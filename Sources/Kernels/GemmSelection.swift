// The fastest provider on this machine, found by a short measurement: `--gemm auto`.

/// Times the three kinds of products of a model's linear layers with every provider.
package struct GemmSelection {
    /// Best seconds of each provider for one kind of product.
    package private(set) var seconds: [GemmLayout: [GemmProvider: Double]] = [:]

    /// Measures products of a layer between widths `hidden` and `inner`, `rounds` times in turn, with the current
    /// threads. Takes a few tenths of a second.
    package init(hidden: Int, inner: Int, providers: [GemmProvider], rounds: Int = 5) {
        // About 0.6 GFLOP per product, so that packing has a realistic share and the measurement is short.
        let rows = max(128, min(1024, 300_000_000 / max(hidden * inner, 1) / 32 * 32))
        var arena = Arena()
        let narrow = arena.matrix(rows, hidden)  // [T, D]
        let wide = arena.matrix(rows, inner)  // [T, F]
        let weight = arena.matrix(inner, hidden)  // [F, D]
        for (matrix, seed) in [(narrow, 3), (wide, 5), (weight, 7)] {
            for i in 0..<matrix.rows * matrix.columns { matrix.pointer[i] = Float(i * seed % 17) / 17 - 0.5 }
        }
        let sum = arena.matrix(inner, hidden)  // [F, D]
        let clock = ContinuousClock()
        for _ in 0...rounds {  // the first round warms up; its times are beaten or kept, never added
            for layout in GemmLayout.allCases {
                for provider in providers {
                    let spent = clock.measure {
                        switch layout {
                        case .forward: Gemm.multiply(narrow, weight, transposeB: true, into: wide, by: provider)
                        case .inputGradient: Gemm.multiply(wide, weight, into: narrow, by: provider)
                        case .weightGradient: Gemm.multiply(wide, transposeA: true, narrow, into: sum, by: provider)
                        }
                    }
                    let seconds = Double(spent.components.attoseconds) * 1e-18 + Double(spent.components.seconds)
                    let best = self.seconds[layout]?[provider] ?? .infinity
                    self.seconds[layout, default: [:]][provider] = min(best, seconds)
                }
            }
        }
    }

    /// An earlier measurement.
    package init(seconds: [GemmLayout: [GemmProvider: Double]]) { self.seconds = seconds }

    /// How much longer the chosen providers take than the fastest ones, for the kind of product that loses most; nil
    /// if that kind was not measured, or nothing is lost.
    package func slowest(in choice: GemmChoice) -> (layout: GemmLayout, factor: Double, fastest: GemmProvider)? {
        GemmLayout.allCases.compactMap { layout -> (layout: GemmLayout, factor: Double, fastest: GemmProvider)? in
            guard let times = seconds[layout], let own = times[choice[layout]],
                let best = times.min(by: { $0.value < $1.value }), best.value > 0, own > best.value
            else { return nil }
            return (layout, own / best.value, best.key)
        }.max { $0.factor < $1.factor }
    }

    /// The fastest provider of each kind.
    package var choice: GemmChoice {
        var choice = GemmChoice(.openblas)
        for (layout, times) in seconds {
            if let fastest = times.min(by: { $0.value < $1.value }) { choice[layout] = fastest.key }
        }
        return choice
    }
}
