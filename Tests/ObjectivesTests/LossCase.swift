// One case of a loss for the laws that hold for every loss: options, and a batch of all ranks from random numbers.
//
// The cases themselves lie in Cases/, a file a family; `LossCase.all` is what LossLawTests enumerate. A loss whose value
// looks at more than one row says so (`looksAcrossRows`): then a dropped exchange must be noticed.

import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

/// A loss with options and a batch.
struct LossCase: Sendable, CustomTestStringConvertible {
    /// What the label of a row is.
    enum Labels: Sendable {
        case none
        /// Classes 0 ..< count in turn, so that every class has several rows.
        case classes(Int)
        /// 1 and 0.
        case binary
        /// Scores of 0 ... 1 with ties.
        case scores
        /// Lists of so many numbers.
        case lists(Int)
    }

    var specification: LossSpecification
    var columns: Int
    var labels = Labels.none
    var rows = 9
    var width = 8
    /// Layers of the encoder that the batch holds; what `Loss.layers` says must be as many.
    var layers = 1
    /// Transformer layers of the model; one less than `layers` unless a loss draws some.
    var modelLayers: Int?
    var hasGuide = false
    var hasTwin = false
    var hasDecoder = false
    /// Rows whose first text is that of the row before: for losses that compare texts.
    var repeatedRows: [Int] = []
    /// Rows whose texts are all the same one.
    var pairedRows: [Int] = []
    /// Whether rows of one rank meet rows of another.
    var looksAcrossRows = true
    /// Whether the last layer's embeddings are also a target through which no gradient flows: then differences are
    /// taken of the layers below only.
    var lastLayerIsTarget = false
    /// Step of the finite differences, and the scale of the embeddings.
    var step = 1e-2
    var scale: Float = 1
    var seed: UInt64 = 5

    init(_ name: String, _ options: JSONObject = [:], columns: Int, labels: Labels = .none) {
        specification = LossSpecification(name: name, options: options)
        self.columns = columns
        self.labels = labels
    }

    /// The case with some of its members changed.
    func with(_ change: (inout LossCase) -> Void) -> LossCase {
        var changed = self
        change(&changed)
        return changed
    }

    var testDescription: String { "\(specification), \(columns) columns" }

    // MARK: Numbers

    /// Columns that the encoder embeds.
    var encoded: Int {
        get throws { try make().requirements.columns(of: .student).numbers(of: columns).count }
    }

    func make() throws -> any Loss { try LossRegistry.make(specification).loss }

    /// Embeddings of all ranks: layer after layer, column after column, [L * C * N * D]; rows of one item are alike.
    func embeddings(salt: UInt64 = 0, width: Int? = nil) throws -> [Float] {
        let (width, columns) = (width ?? self.width, try encoded)
        var values: [Float] = []
        for layer in 0..<layers {
            for column in 0..<columns {
                for row in 0..<rows {
                    let item = repeatedRows.contains(row) && column == 0 ? row - 1 : row
                    var own = TinyRandom(seed &* 1_000_003 &+ salt &+ UInt64((layer * columns + column) * 1000 + item))
                    var shared = TinyRandom(seed &* 77 &+ salt &+ UInt64(item))
                    for _ in 0..<width { values.append(scale * Float(0.7 * own.normal() + 0.6 * shared.normal())) }
                }
            }
        }
        return values
    }

    /// Labels of all ranks, and numbers a label.
    var labelValues: (values: [Float], width: Int) {
        var random = TinyRandom(seed &+ 99)
        switch labels {
        case .none: return ([], 0)
        case .classes(let count): return ((0..<rows).map { Float($0 % count) }, 1)
        case .binary: return ((0..<rows).map { Float($0 % 3 == 0 ? 0 : 1) }, 1)
        case .scores: return ((0..<rows).map { Float(($0 * 5) % 4) / 4 }, 1)
        case .lists(let width): return ((0..<rows * width).map { _ in Float(random.normal()) }, width)
        }
    }

    var setting: LossSetting {
        let kind: LossLabels
        switch labels {
        case .none: kind = .none
        case .classes(let count): kind = .integers(0...count - 1)
        case .binary: kind = .integers(0...1)
        case .scores: kind = .numbers(0...1)
        case .lists(let width): kind = .lists(width)
        }
        return LossSetting(
            width: width, layers: modelLayers ?? max(layers - 1, 1), columns: (0..<columns).map { "text\($0)" },
            labels: kind)
    }
}

/// What a rank got for its rows of a case.
struct LossOutcome: Sendable {
    var value: Double
    var parts: [Double]
    /// By embeddings, [L * C * b * D].
    var gradient: [Float]
    /// By the twin's embeddings, [C * b * D].
    var twin: [Float]
    /// By the loss's own parameters, one after the other.
    var parameters: [Float]
}

/// Everything of a case that may be moved a little: what finite differences walk through.
struct LossPoint: Sendable {
    var embeddings: [Float]
    var twin: [Float]
    var parameters: [Float]
}

extension LossCase {
    func point() throws -> LossPoint {
        var parameters: [Float] = []
        for parameter in try make().parameters(setting) {
            var values = [Float](repeating: 0, count: parameter.shape.reduce(1, *))
            values.withUnsafeMutableBufferPointer { parameter.fill($0, seed: 11) }
            parameters += values
        }
        return LossPoint(
            embeddings: try embeddings(), twin: hasTwin ? try embeddings(salt: 4321) : [], parameters: parameters)
    }

    /// Evaluates the rows `own` of the case at `point`.
    func evaluate(
        _ point: LossPoint, rows own: Range<Int>, _ ensemble: any Ensemble, weight: Double = 1,
        wantsGradients: Bool = true, reusing loss: (any Loss)? = nil
    ) throws -> LossOutcome {
        let loss = try loss ?? make()
        let columns = try encoded
        let blocks = layers * columns
        func part(_ values: [Float], blocks: Int, width: Int) -> [Float] {
            (0..<blocks).flatMap { block -> [Float] in
                let (first, end) = (block * rows + own.lowerBound, block * rows + own.upperBound)
                return Array(values[first * width..<end * width])
            }
        }
        let own_ = FloatBlock(part(point.embeddings, blocks: blocks, width: width))
        let gradient = FloatBlock(count: own_.count)
        let twin = FloatBlock(hasTwin ? part(point.twin, blocks: columns, width: width) : [])
        let dTwin = FloatBlock(count: twin.count)
        let guide = FloatBlock(
            hasGuide ? part(try embeddings(salt: 9, width: 6), blocks: layers * columns, width: 6) : [])
        let parameters = FloatBlock(point.parameters)
        let dParameters = FloatBlock([Float](repeating: 0, count: point.parameters.count))
        gradient.pointer.update(repeating: .nan, count: gradient.count)
        dTwin.pointer.update(repeating: .nan, count: dTwin.count)

        var batch = LossBatch(
            embeddings: Matrix(own_.pointer, blocks * own.count, width), rows: own.count, columns: columns,
            layers: layers)
        if layers > 1 { batch.layerNumbers = loss.layers(of: setting.layers, draw: LossDraw(seed: 3, step: 2)) }
        if hasTwin { batch.others[.twin] = Matrix(twin.pointer, columns * own.count, width) }
        for path in loss.requirements.guides {
            batch.others[.guide(path)] = Matrix(guide.pointer, columns * own.count, 6)
        }
        var context = LossContext(ensemble: ensemble)
        context.weight = weight
        context.draw = LossDraw(seed: 3, step: 2)
        if hasDecoder { context.decoder = QuadraticDecoder(rows: own) }
        var tensors: [String: LossParameters.Tensor] = [:]
        var first = 0
        for parameter in loss.parameters(setting) {
            let rows = parameter.shape.count < 2 ? 1 : parameter.shape[0]
            let width = parameter.shape.last ?? 1
            tensors[parameter.name] = .init(
                values: Matrix(parameters.pointer + first, rows, width),
                gradient: Matrix(dParameters.pointer + first, rows, width))
            first += rows * width
        }
        context.parameters = LossParameters(tensors)
        var gradients: LossGradients?
        if wantsGradients {
            gradients = LossGradients(
                embeddings: Matrix(gradient.pointer, blocks * own.count, width),
                others: hasTwin ? [.twin: Matrix(dTwin.pointer, columns * own.count, width)] : [:])
        }
        let (labels, labelWidth) = labelValues
        let ownLabels = Array(labels[own.lowerBound * labelWidth..<own.upperBound * labelWidth])
        let keys = (0..<self.columns).flatMap { column in
            own.map { row in
                let item = column == 0 && repeatedRows.contains(row) ? row - 1 : row
                return UInt64((pairedRows.contains(row) ? 0 : column) * 1000 + item)
            }
        }
        let value = try ownLabels.withUnsafeBufferPointer { labels in
            try keys.withUnsafeBufferPointer { keys in
                if labelWidth > 0 { (batch.labels, batch.labelWidth) = (labels, labelWidth) }
                batch.textKeys = keys
                batch.textColumns = self.columns
                return try loss.evaluate(batch, gradients: gradients, in: context)
            }
        }
        return LossOutcome(
            value: value, parts: loss.parts.map(\.value), gradient: Array(gradient.buffer), twin: Array(dTwin.buffer),
            parameters: Array(dParameters.buffer))
    }
}

/// Stands for a decoder: each row has one to three tokens, and costs half its squared distance from a point for each.
private final class QuadraticDecoder: SentenceDecoder {
    private let tokens: [Int]

    init(rows: Range<Int>) { tokens = rows.map { $0 % 3 + 1 } }

    var targetTokens: Int { tokens.reduce(0, +) }

    func reconstruct(_ embeddings: Matrix, factor: Double, weight: Double, dEmbeddings: Matrix?) -> Double {
        var value = 0.0
        for (row, count) in tokens.enumerated() {
            for k in 0..<embeddings.columns {
                let difference = Double(embeddings[row, k]) - 0.3 * Double(k)
                value += factor * Double(count) * 0.5 * difference * difference
                dEmbeddings?[row, k] = Float(weight * factor * Double(count) * difference)
            }
        }
        return value
    }
}
