// Are the sizes that config.json asks for those of a model of about the weights' size? Asked before memory is taken.
//
// Why: a config.json with vocab_size 2^40 or 2^31 layers is a damaged or hostile file. Every tensor's shape is compared
// later, but only once the layout exists; a layout of 2^31 layers or an arena of 2^50 numbers must not be built for
// that. All products are checked for overflow.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// The comparison of a configuration with its weight files.
struct ModelSizes {
    /// How much larger than its weights a model may be: smaller errors are reported tensor by tensor.
    private static let slack = 4
    private static let floor = 1 << 20

    private let elements: Int
    private let tensors: Int
    private let path: String

    init(_ weights: TensorFile) {
        // Several names may share their bytes, but an element has at least one.
        let bytes = weights.files.reduce(0) { $0 + $1.bytes.count }
        elements = min(bytes, weights.tensors.reduce(0) { $0 + $1.count })
        tensors = weights.tensors.count
        path = weights.path
    }

    /// Refuses a config.json that describes a transformer far larger than its weights.
    ///
    /// Throws: `.data` naming the file and the key.
    func check(_ sizes: FamilySizes, _ file: ConfigurationFile) throws(TuttiError) {
        guard sizes.layers <= tensors else {
            throw file.error(sizes.layersKey, "is \(sizes.layers), but \(path) holds \(tensors) tensors")
        }
        for (key, shape) in sizes.shapes { try check(shape, key, file) }
    }

    /// Refuses a module that is far larger than its weights.
    ///
    /// Throws: `.data` naming the module's folder.
    func check(_ placed: PlacedModule, root: String) throws(TuttiError) {
        let file = ConfigurationFile(
            path: "\(root)/\(placed.folder)/\(placed.module.settingsName)", object: JSONObject())
        if let plan = placed.module.overTokens {
            for (key, shape) in plan.sizes { try check(shape, key, file) }
        }
        guard case .dense(_, let inputWidth, let outputWidth, _, _, _) = placed.module else { return }
        try check([inputWidth, outputWidth], "out_features", file)
    }

    private func check(_ shape: [Int], _ key: String, _ file: ConfigurationFile) throws(TuttiError) {
        var product = 1
        var overflows = false
        for size in shape where !overflows { (product, overflows) = product.multipliedReportingOverflow(by: size) }
        guard overflows || product > max(ModelSizes.floor, elements.multipliedReportingOverflow(by: ModelSizes.slack).0)
        else { return }
        let spelled = shape.map(String.init).joined(separator: " x ")
        throw file.error(key, "asks for \(spelled) numbers, but \(path) holds \(elements)")
    }
}
