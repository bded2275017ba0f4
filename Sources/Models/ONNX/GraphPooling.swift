// The modules after the layers as operators: pooling of all modes, dense layers, norms, unit length.
//
// Their weights stay in single precision: they are small, and close to the result.
//
// Legend: B texts, L tokens of the longest one, D hidden.

import TuttiEncoders
import TuttiFormats
import TuttiGround

extension GraphBuilder {
    /// Whether the modules can be computed of token vectors and the mask alone.
    static func canPool(_ modules: [HeadConfiguration]) -> Bool {
        modules.allSatisfy { module in
            switch module {
            case .tokens: false
            case .pooling(_, _, let includePrompt): includePrompt
            case .normalize, .dense, .layerNorm, .dropout: true
            }
        }
    }

    /// The embeddings [B, D'] of token vectors [B, L, D].
    mutating func sentences(_ modules: [HeadConfiguration], _ tokens: String, width: Int) -> String {
        var rows = tokens
        for module in modules {
            switch module {
            case .tokens: preconditionFailure("GraphBuilder: a module over tokens")
            case .pooling(let modes, _, _):
                scope = "pooling"
                let parts = modes.map { pool(rows, $0, width: width) }
                rows = parts.count == 1 ? parts[0] : node("Concat", parts, [("axis", .integer(-1))])
            case .normalize:
                scope = "normalize"
                let length = node("ReduceL2", [rows], [("axes", .integers([-1])), ("keepdims", .integer(1))])
                rows = node("Div", [rows, node("Max", [length, number(1e-12)])])
            case .dense(let name, _, _, _, let activation, let hasResidual):
                scope = name
                guard let linear = module.linear else { preconditionFailure("GraphBuilder: dense without weight") }
                let output = activate(activation, exactly(linear, rows))
                let residual = module.residual.map { exactly($0, rows) } ?? rows
                rows = hasResidual ? add(output, residual) : output
            case .layerNorm(let name, _):
                scope = name
                guard let plan = module.norm else { preconditionFailure("GraphBuilder: norm without parameters") }
                rows = norm(plan, rows)
            case .dropout: break
            }
        }
        scope = ""
        return rows
    }

    /// The vector [B, D] of a mode.
    private mutating func pool(_ tokens: String, _ mode: PoolingMode, width: Int) -> String {
        switch mode {
        case .cls: return row(tokens, last: false, width: width)
        case .lastToken: return row(tokens, last: true, width: width)
        case .max:
            let sees = unsqueeze(cast(Input.mask, to: .bool), [2])
            let kept = node("Where", [sees, tokens, number(-.greatestFiniteMagnitude)])
            return node("ReduceMax", [kept], [("axes", .integers([1])), ("keepdims", .integer(0))])
        case .mean, .meanSqrtLength:
            let weights = unsqueeze(cast(Input.mask, to: .float32), [2])  // [B, L, 1]
            let count = node("Max", [sum(weights), number(1e-9)])
            return node("Div", [sum(multiply(tokens, weights)), mode == .mean ? count : node("Sqrt", [count])])
        case .weightedMean:
            let places = node("CumSum", [Input.mask, integer(1)])
            let weights = unsqueeze(cast(multiply(places, Input.mask), to: .float32), [2])
            return node("Div", [sum(multiply(tokens, weights)), node("Max", [sum(weights), number(1e-9)])])
        }
    }

    /// The sum over tokens.
    private mutating func sum(_ x: String) -> String {
        node("ReduceSum", [x, integers([1])], [("keepdims", .integer(0))])
    }

    /// The first or the last token of each text, padding apart.
    private mutating func row(_ tokens: String, last: Bool, width: Int) -> String {
        let place = node(
            "ArgMax", [Input.mask],
            [("axis", .integer(1)), ("keepdims", .integer(1)), ("select_last_index", .integer(last ? 1 : 0))])
        let everywhere = node("Expand", [unsqueeze(place, [2]), integers([1, 1, width])])  // [B, 1, D]
        let row = node("GatherElements", [tokens, everywhere], [("axis", .integer(1))])
        return node("Squeeze", [row, integers([1])])
    }
}
