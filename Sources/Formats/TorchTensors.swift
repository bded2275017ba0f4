// The tensors of a torch checkpoint (pytorch_model.bin): a ZIP file with a pickle and one entry a storage.
//
//   <name>/data.pkl      the pickle of a state dict: names to views of storages
//   <name>/data/<key>    the bytes of a storage, little-endian
//   <name>/byteorder     "little"
//
// Files of torch before 1.6 are not ZIP files but pickles in a row, and then the storages (TorchLegacy.swift).
//
// What: the pickle is interpreted without running anything (Pickle.swift), and every view is checked against its storage. A
// contiguous view is a range of the mapped file. Others, such as a saved transpose, are copied when the file is opened,
// as long as the copies are no larger than the file. Several names may share one storage (tied weights).
//
// Reference: torch/serialization.py (_save, _load).

import TuttiGround

/// The checked contents of one checkpoint.
struct TorchTensors {
    /// The tensors in the order of the state dict.
    private(set) var tensors: [TensorFile.TensorInfo] = []
    /// The file, and in memory the tensors that are not contiguous in it.
    private(set) var files: [MappedFile]
    /// Bytes that may still be copied.
    private var room: Int

    /// Reads `file`, whose number among the files is `index`; tensors in memory are numbered from `copies` on.
    ///
    /// Throws: `.data` that names the file, and the opcode or global or tensor at fault.
    init(file: MappedFile, index: Int, copies: Int) throws(TuttiError) {
        files = [file]
        room = file.bytes.count
        let (pickle, storages) = try Self.contents(file)
        for (name, tensor) in try Self.stateDict(pickle, file) {
            let view: TensorView
            do throws(Pickle.Flaw) {
                view = try TensorView(tensor, storage: storages[tensor.storage.key])
                guard view.contiguousRange != nil || view.byteCount <= room else {
                    throw Pickle.Flaw(problem: "is one of the views that are together larger than the file")
                }
            } catch {
                throw Self.malformed(file, "the tensor '\(name)' \(error.problem)")
            }
            var (range, place) = (0..<view.byteCount, index)
            if let found = view.contiguousRange {
                range = found
            } else {
                room -= view.byteCount
                place = copies + files.count - 1
                files.append(
                    try MappedFile(copyOf: file.path, count: view.byteCount) { view.copy(file.bytes, to: $0) })
            }
            tensors.append(.init(name: name, dtype: tensor.type, shape: tensor.shape, byteRange: range, file: place))
        }
    }

    /// The pickle of a state dict, and the bytes of storages by their keys.
    private static func contents(_ file: MappedFile) throws(TuttiError) -> (Pickle, [String: Range<Int>]) {
        do throws(Pickle.Flaw) {
            if TorchLegacy.begins(file.bytes) { return try TorchLegacy.contents(file.bytes) }
        } catch {
            throw flaw(file, error)
        }
        guard file.bytes.starts(with: ZipArchive.magic) else {
            throw malformed(file, "is not a torch checkpoint", hint: "The file is damaged; fetch it again.")
        }
        let archive = try ZipArchive(file)
        guard let name = archive.entries.keys.filter({ $0.hasSuffix("/data.pkl") }).min(),
            let range = archive.entries[name]
        else { throw malformed(file, "has no entry data.pkl, so it is not a torch checkpoint") }
        let root = name.dropLast("data.pkl".count)
        if let order = archive.entries[root + "byteorder"], !file.bytes[order].elementsEqual("little".utf8) {
            throw malformed(file, "is not in little-endian order")
        }
        var storages: [String: Range<Int>] = [:]
        for (name, range) in archive.entries where name.hasPrefix(root + "data/") {
            storages[String(name.dropFirst(root.count + "data/".count))] = range
        }
        do throws(Pickle.Flaw) {
            return (try Pickle(UnsafeRawBufferPointer(rebasing: file.bytes[range])), storages)
        } catch {
            throw flaw(file, error)
        }
    }

    /// The tensors of a state dict by name, in order; other values in it are left out.
    private static func stateDict(
        _ pickle: Pickle, _ file: MappedFile
    ) throws(TuttiError) -> [(name: String, tensor: PickleTensor)] {
        func members(_ value: PickleValue) -> [(name: String, value: PickleValue)]? {
            guard case .dictionary(let place) = value else { return nil }
            let items = pickle.items(place)
            return stride(from: 0, to: items.count - 1, by: 2).compactMap { place in
                if case .text(let name) = items[place] { (name, items[place + 1]) } else { nil }
            }
        }
        guard var dictionary = members(pickle.value) else {
            throw malformed(file, "holds no state dict", hint: "A checkpoint is a dictionary of tensors by name.")
        }
        for (name, value) in dictionary where ["state_dict", "model_state_dict", "model"].contains(name) {
            if let inner = members(value) {
                dictionary = inner
                break
            }
        }
        let tensors: [(name: String, tensor: PickleTensor)] = dictionary.compactMap { member in
            if case .tensor(let tensor) = member.value { (member.name, tensor) } else { nil }
        }
        guard !tensors.isEmpty else { throw malformed(file, "holds no tensor") }
        return tensors
    }

    private static func flaw(_ file: MappedFile, _ flaw: Pickle.Flaw) -> TuttiError {
        flaw.isRefusal
            ? malformed(file, flaw.problem)
            : malformed(
                file, "its pickle \(flaw.problem)", hint: "The file is damaged; fetch it again.")
    }

    private static func malformed(_ file: MappedFile, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(
            .data, "read weights", file.path, problem,
            hint: hint
                ?? "Convert the folder where sentence-transformers is installed: python3 -c 'from sentence_transformers"
                + " import SentenceTransformer as S; S(\"FOLDER\").save_pretrained(\"NEW\")'.")
    }
}

/// A tensor's place in the bytes of its storage, checked.
private struct TensorView {
    private let storage: Range<Int>
    private let width: Int
    private let offset: Int
    private let shape: [Int]
    private let strides: [Int]
    /// Bytes of the tensor.
    let byteCount: Int

    /// Checks `tensor` against the bytes `storage`, so that every element lies inside of them.
    init(_ tensor: PickleTensor, storage: Range<Int>?) throws(Pickle.Flaw) {
        guard let storage else {
            throw Pickle.Flaw(problem: "is of the storage '\(tensor.storage.key)', which is missing")
        }
        width = tensor.type.width
        (self.storage, offset, shape, strides) = (storage, tensor.offset, tensor.shape, tensor.strides)
        let unit = tensor.storage.type?.width ?? 1
        guard tensor.storage.count.multipliedReportingOverflow(by: unit) == (storage.count, false) else {
            throw Pickle.Flaw(
                problem: "is of a storage of \(tensor.storage.count) elements, which has \(storage.count) bytes")
        }
        guard shape.count == strides.count, shape.count <= 64, (shape + strides + [offset]).allSatisfy({ $0 >= 0 })
        else { throw Pickle.Flaw(problem: "has the shape \(shape) and the strides \(strides)") }
        var (count, last) = (1, offset)
        var overflows = false
        func add(_ factor: Int, _ other: Int, to sum: inout Int) {
            let product = factor.multipliedReportingOverflow(by: other)
            let total = sum.addingReportingOverflow(product.partialValue)
            (sum, overflows) = (total.partialValue, overflows || product.overflow || total.overflow)
        }
        for (size, stride) in zip(shape, strides) {
            var product = 0
            add(count, size, to: &product)
            count = product
            if size > 0 { add(size - 1, stride, to: &last) }
        }
        let elements = storage.count / width
        guard !overflows, count == 0 || last < elements else {
            throw Pickle.Flaw(problem: "of shape \(shape) ends outside of its storage")
        }
        guard count <= elements else {
            throw Pickle.Flaw(problem: "of shape \(shape) is a repeated view of \(elements) elements")
        }
        byteCount = count * width
    }

    /// The bytes in the file if they are one range in row-major order.
    var contiguousRange: Range<Int>? {
        if byteCount == 0 { return storage.lowerBound..<storage.lowerBound }
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() {
            if size > 1, stride != expected { return nil }
            expected *= size
        }
        let start = storage.lowerBound + offset * width
        return start..<start + byteCount
    }

    /// Copies the elements in row-major order.
    func copy(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        let start = storage.lowerBound + offset * width
        var index = [Int](repeating: 0, count: shape.count)
        var source = start
        for place in stride(from: 0, to: byteCount, by: width) {
            target[place..<place + width].copyBytes(from: bytes[source..<source + width])
            var dimension = shape.count - 1
            while dimension >= 0 {
                index[dimension] += 1
                source += strides[dimension] * width
                if index[dimension] < shape[dimension] { break }
                source -= index[dimension] * strides[dimension] * width
                index[dimension] = 0
                dimension -= 1
            }
        }
    }
}
