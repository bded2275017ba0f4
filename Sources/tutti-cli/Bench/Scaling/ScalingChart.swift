// ScalingChart: lines over a number of ranks, as one SVG without anything from elsewhere.

import Foundation
import TuttiReports

/// A chart of lines.
struct ScalingChart {
    /// A line with its points.
    struct Series {
        let name: String
        let points: [(x: Double, y: Double)]
        var isDashed = false
    }

    let title: String
    let xTitle: String
    let yTitle: String
    /// Whether x grows by factors.
    var isLogarithmic = true
    /// Whether y is a fraction, shown as a percentage.
    var isPercent = false
    let series: [Series]

    private static let colours = ["#1b6ca8", "#d1495b", "#2e933c", "#8f5db7", "#c77d0a", "#4a4a4a"]
    private let left = 74.0, right = 540.0, top = 44.0, bottom = 316.0

    init(
        _ title: String, x: String, y: String, isLogarithmic: Bool = true, isPercent: Bool = false, _ series: [Series]
    ) {
        (self.title, xTitle, yTitle) = (title, x, y)
        (self.isLogarithmic, self.isPercent) = (isLogarithmic, isPercent)
        self.series = series.filter { !$0.points.isEmpty }
    }

    /// The picture. - Parameter standsAlone: whether it is a file of its own, which names its format.
    func svg(standsAlone: Bool) -> String {
        let name = standsAlone ? " xmlns=\"http://www.w3.org/2000/svg\"" : ""
        var lines = [
            "<svg\(name) viewBox=\"0 0 760 370\" width=\"760\" height=\"370\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">",
            "<title>\(title.escapedForXML)</title>", "<rect width=\"760\" height=\"370\" fill=\"#ffffff\"/>",
            text(left, 24, title, extra: " font-size=\"15\" font-weight=\"bold\""),
            text((left + right) / 2, 358, xTitle, extra: " text-anchor=\"middle\""),
            "<text transform=\"translate(16 \((top + bottom) / 2)) rotate(-90)\" text-anchor=\"middle\">\(yTitle.escapedForXML)</text>",
        ]
        let points = series.flatMap(\.points)
        let most = points.map(\.y).max() ?? 1
        let step = Self.step(most)
        let ceiling = max(step, (most / step).rounded(.up) * step)
        for mark in 0...Int((ceiling / step).rounded()) {
            let value = Double(mark) * step
            let y = bottom - (bottom - top) * value / ceiling
            lines.append("<path d=\"M\(left) \(fixed(y))H\(right)\" stroke=\"#dddddd\" fill=\"none\"/>")
            let label = isPercent ? "\(Int((100 * value).rounded())) %" : Self.short(value)
            lines.append(text(left - 8, y + 4, label, extra: " text-anchor=\"end\""))
        }
        let marks = Set(points.map(\.x)).sorted()
        let (low, high) = (position(marks.first ?? 1), position(marks.last ?? 1))
        func place(_ x: Double) -> Double {
            high > low ? left + (right - left) * (position(x) - low) / (high - low) : (left + right) / 2
        }
        for mark in marks {
            lines.append(text(place(mark), bottom + 18, Self.short(mark), extra: " text-anchor=\"middle\""))
        }
        for (index, line) in series.enumerated() {
            let colour = Self.colours[index % Self.colours.count]
            let sorted = line.points.sorted { $0.x < $1.x }.map {
                (x: fixed(place($0.x)), y: fixed(bottom - (bottom - top) * $0.y / ceiling))
            }
            let dash = line.isDashed ? " stroke-dasharray=\"5 4\"" : ""
            let path = sorted.map { "\($0.x) \($0.y)" }.joined(separator: "L")
            lines.append("<path d=\"M\(path)\" stroke=\"\(colour)\" stroke-width=\"2\" fill=\"none\"\(dash)/>")
            for point in sorted where !line.isDashed {
                lines.append("<circle cx=\"\(point.x)\" cy=\"\(point.y)\" r=\"3\" fill=\"\(colour)\"/>")
            }
            let y = top + 8 + 20 * Double(index)
            lines.append(
                "<path d=\"M\(right + 12) \(y)h18\" stroke=\"\(colour)\" stroke-width=\"2\" fill=\"none\"\(dash)/>")
            lines.append(text(right + 36, y + 4, line.name))
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private func position(_ x: Double) -> Double { isLogarithmic ? log(max(x, 1e-12)) : x }

    private func text(_ x: Double, _ y: Double, _ text: String, extra: String = "") -> String {
        "<text x=\"\(fixed(x))\" y=\"\(fixed(y))\"\(extra)>\(text.escapedForXML)</text>"
    }

    private func fixed(_ number: Double) -> String { String(format: "%.1f", number.isFinite ? number : 0) }

    /// A round step that gives four to ten marks up to `most`.
    private static func step(_ most: Double) -> Double {
        guard most > 0, most.isFinite else { return 1 }
        let power = pow(10, (log10(most)).rounded(.down))
        return [0.1, 0.2, 0.5, 1].map { $0 * power }.first { most / $0 <= 8 } ?? power
    }

    private static func short(_ value: Double) -> String {
        value >= 1e6 ? String(format: "%.3gM", value / 1e6) : String(format: "%.6g", value)
    }
}
