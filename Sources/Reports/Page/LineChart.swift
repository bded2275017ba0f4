// Lines over the steps of a run, or over another whole number, as an SVG inside a page, with a table of its values for those who cannot see it.
//
// Colours are classes that the page defines, for light and dark. Many points are averaged into a few hundred: the line is
// that of the means, so that a million logged steps stay a small page.

import Foundation
import TuttiGround

/// A chart of lines over optimizer steps, or over what `places` says.
struct LineChart {
    /// A line with its points, ascending in their steps.
    struct Series {
        var name: String
        var points: [(step: Int, value: Double)]
        /// The point to mark, by its step.
        var best: Int?
    }

    var title: String
    /// The unit of the values, in words.
    var unit: String
    /// Whether the axis begins at zero.
    var fromZero = false
    /// What the points' steps are, and what one of them counts for on the axis.
    var places = (name: "step", unit: 1.0)
    var series: [Series]

    private static let pointsShown = 400, rowsShown = 60
    private let left = 64.0, right = 624.0, top = 12.0, bottom = 208.0

    /// A chart of those series that have numbers; nil if none has two points.
    init?(_ title: String, unit: String, fromZero: Bool = false, _ series: [Series]) {
        (self.title, self.unit, self.fromZero) = (title, unit, fromZero)
        self.series = series.compactMap { line in
            var line = line
            line.points.removeAll { !$0.value.isFinite }
            return line.points.isEmpty ? nil : line
        }
        guard self.series.contains(where: { $0.points.count > 1 }) else { return nil }
    }

    /// The figure: caption, picture, legend, table.
    var html: String {
        let words = series.map { line -> String in
            let values = line.points.map(\.value)
            let (first, last) = (Self.short(values.first ?? 0), Self.short(values.last ?? 0))
            return "\(line.name) from \(first) to \(last)"
        }.joined(separator: "; ")
        var parts = [
            "<figure><figcaption>\(title.escapedForXML) <span class=\"unit\">\(unit.escapedForXML)</span></figcaption>",
            "<svg viewBox=\"0 0 640 240\" role=\"img\" aria-label=\"\("\(title): \(words)".escapedForXML)\">",
        ]
        parts += axes + series.indices.map(line) + ["</svg>"]
        if series.count > 1 {
            let items = series.enumerated().map {
                "<li><span class=\"key c\($0 % 8)\"></span>\($1.name.escapedForXML)</li>"
            }
            parts.append("<ul class=\"legend\">\(items.joined())</ul>")
        }
        parts.append(table + "</figure>")
        return parts.joined(separator: "\n")
    }

    // MARK: Axes

    private var range: (low: Double, high: Double, step: Double) {
        let values = series.flatMap { Self.thinned($0.points).map(\.value) }
        let (least, most) = (values.min() ?? 0, values.max() ?? 1)
        let low = fromZero ? min(0, least) : least
        let step = Self.step(max(most - low, abs(most) * 1e-6, 1e-12))
        let floor = (low / step).rounded(.down) * step
        return (floor, max((most / step).rounded(.up) * step, floor + step), step)
    }

    private var steps: (first: Int, last: Int) {
        let all = series.flatMap { [$0.points.first?.step ?? 0, $0.points.last?.step ?? 0] }
        return (all.min() ?? 0, all.max() ?? 1)
    }

    private func x(_ step: Int) -> Double {
        let (first, last) = steps
        return left + (right - left) * Double(step - first) / Double(max(1, last - first))
    }

    private var axes: [String] {
        let (low, high, step) = range
        let marks = stride(from: 0, through: Int(((high - low) / step).rounded()), by: 1).map {
            low + Double($0) * step
        }
        let rows = marks.map { value -> String in
            let y = bottom - (bottom - top) * (value - low) / (high - low)
            return "<path class=\"grid\" d=\"M\(left) \(Self.fixed(y))H\(right)\"/>"
                + "<text x=\"\(left - 6)\" y=\"\(Self.fixed(y + 4))\" class=\"end\">\(Self.short(value))</text>"
        }
        let (first, last) = steps
        let columns = Set((0...4).map { first + (last - first) * $0 / 4 }).sorted().map { step in
            "<text x=\"\(Self.fixed(x(step)))\" y=\"\(bottom + 18)\" class=\"middle\">\(place(step))</text>"
        }
        return rows + columns
    }

    private func place(_ step: Int) -> String {
        places.unit == 1 ? "\(step)" : Self.short(Double(step) * places.unit)
    }

    private func line(_ number: Int) -> String {
        let (low, high, _) = range
        func y(_ value: Double) -> Double { bottom - (bottom - top) * (value - low) / (high - low) }
        let line = series[number]
        let points = Self.thinned(line.points).map { "\(Self.fixed(x($0.step))) \(Self.fixed(y($0.value)))" }
        var text = "<path class=\"line c\(number % 8)\" d=\"M\(points.joined(separator: "L"))\"/>"
        if line.points.count <= 40 {
            for point in line.points {
                text += "<circle class=\"dot c\(number % 8)\" cx=\"\(Self.fixed(x(point.step)))\""
                text += " cy=\"\(Self.fixed(y(point.value)))\" r=\"2.5\"/>"
            }
        }
        if let best = line.best, let point = line.points.last(where: { $0.step == best }) {
            text += "<circle class=\"best c\(number % 8)\" cx=\"\(Self.fixed(x(point.step)))\""
            text +=
                " cy=\"\(Self.fixed(y(point.value)))\" r=\"6\"><title>best: \(Self.short(point.value)) at step \(best)"
            text += "</title></circle>"
        }
        return text
    }

    // MARK: Values

    private var table: String {
        let all = Set(series.flatMap { $0.points.map(\.step) }).sorted()
        let stride = (all.count + Self.rowsShown - 1) / Self.rowsShown
        let shown = all.enumerated().filter { $0.offset % stride == 0 || $0.offset == all.count - 1 }.map(\.element)
        let values = series.map { Dictionary($0.points.map { ($0.step, $0.value) }) { _, last in last } }
        let heads = [places.name] + series.map(\.name)
        let rows = shown.map { step in
            "<tr><th scope=\"row\">\(place(step))</th>"
                + values.map { "<td>\($0[step].map(Self.short) ?? "")</td>" }.joined() + "</tr>"
        }
        let head = heads.map { "<th scope=\"col\">\($0.escapedForXML)</th>" }.joined()
        return "<details><summary>Values</summary><div class=\"scroll\"><table><thead><tr>\(head)</tr></thead><tbody>"
            + rows.joined() + "</tbody></table></div></details>"
    }

    /// The points, or the means of as many stretches of equal length as are shown.
    private static func thinned(_ points: [(step: Int, value: Double)]) -> [(step: Int, value: Double)] {
        guard points.count > pointsShown else { return points }
        return (0..<pointsShown).map { place in
            let stretch = points[place * points.count / pointsShown..<(place + 1) * points.count / pointsShown]
            let mean = stretch.reduce(0) { $0 + $1.value } / Double(stretch.count)
            return (stretch[stretch.startIndex + stretch.count / 2].step, mean)
        }
    }

    /// A round step that gives three to seven marks over `span`.
    private static func step(_ span: Double) -> Double {
        let power = pow(10, log10(span).rounded(.down))
        return [0.1, 0.2, 0.5, 1].map { $0 * power }.first { span / $0 <= 6 } ?? power
    }

    /// A number with as many digits as a reader wants.
    static func short(_ value: Double) -> String {
        let size = abs(value)
        if value == 0 { return "0" }
        if size >= 1e7 || size < 1e-3 { return String(format: "%.3g", value) }
        return String(format: size >= 1000 ? "%.0f" : "%.4g", value)
    }

    private static func fixed(_ number: Double) -> String { String(format: "%.1f", number) }
}
