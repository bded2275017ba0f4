// The part of Python's pickle format that torch's state dicts need, interpreted without running anything.
//
// What: a stack machine over values that are numbers, texts, containers, storages and tensors. An opcode or a global
// that a state dict does not need is refused by its name, so that a file can name a function but never call it: the few
// calls that are known (an ordered dictionary, a tensor of a storage, a parameter of a tensor) are matched by name.
//
// Containers are kept in one list and values hold their places in it: files may nest and share them as they like, and
// neither memory nor the depth of calls grows beyond the file's own size.
//
// Reference: pickletools.py in CPython; torch/_weights_only_unpickler.py and torch/_utils.py.

import TuttiGround

/// A value on the stack of a pickle.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case text(String)
    /// The place of its items in `Pickle.containers`; a dictionary's are keys and values in turn.
    case tuple(Int)
    case list(Int)
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(PickleStorage)
    case tensor(PickleTensor)
    /// The start of a group of items.
    case mark
}

/// A storage that a pickle names: its bytes are elsewhere.
struct PickleStorage {
    /// The key of its bytes.
    let key: String
    /// The type of its elements; nil = bytes.
    let type: TensorType?
    /// Elements, or bytes without a type.
    let count: Int
}

/// A tensor as a view of a storage; the numbers are as the file says.
struct PickleTensor {
    let storage: PickleStorage
    let type: TensorType
    /// Elements before the first one.
    let offset: Int
    let shape: [Int]
    /// Elements from one index to the next, by dimension.
    let strides: [Int]
}

/// An interpreted pickle.
struct Pickle {
    /// The value that the pickle describes.
    private(set) var value = PickleValue.none
    /// The storages that it names, by their keys.
    private(set) var storages: [String: PickleStorage] = [:]
    /// The first byte after it.
    var end: Int { place }
    /// The items of all containers.
    private var containers: [[PickleValue]] = []
    private var stack: [PickleValue] = []
    private var memory: [Int: PickleValue] = [:]
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    /// What is wrong with a pickle, without the file's name.
    struct Flaw: Error {
        let problem: String
        /// True where the file asks for something that is not done, rather than being damaged.
        var isRefusal = false
    }

    /// Interprets the pickle that starts at `start` in `bytes`.
    init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0) throws(Flaw) {
        self.bytes = bytes
        place = start
        while try !step() {}
    }

    /// The items of the container at `index`.
    func items(_ index: Int) -> [PickleValue] { containers[index] }

    /// Executes one opcode; true at the end.
    private mutating func step() throws(Flaw) -> Bool {
        let code = try byte()
        guard let opcode = PickleOpcode(rawValue: code) else {
            let name = PickleOpcode.refused[code] ?? "0x" + String(code, radix: 16)
            throw Flaw(problem: "has the pickle opcode \(name), which no tensor needs", isRefusal: true)
        }
        switch opcode {
        case .proto: _ = try byte()
        case .global:
            let (module, name) = (try line(), try line())
            guard let global = PickleGlobal(module: module, name: name) else {
                throw Flaw(
                    problem: "names '\(module).\(name)', which is not run: only tensors are read", isRefusal: true)
            }
            stack.append(.global(global))
        case .none: stack.append(.none)
        case .newTrue: stack.append(.bool(true))
        case .newFalse: stack.append(.bool(false))
        case .integer1: stack.append(.integer(Int(try byte())))
        case .integer2: stack.append(.integer(Int(try number(2))))
        case .integer4: stack.append(.integer(Int(Int32(truncatingIfNeeded: try number(4)))))
        case .long1: stack.append(.integer(try long(Int(try byte()))))
        case .float:
            stack.append(.float(Double(bitPattern: UInt64(bitPattern: Int64(try number(8))).byteSwapped)))
        case .unicode: stack.append(.text(try text(Int(try number(4)))))
        case .shortString: stack.append(.text(try text(Int(try byte()))))
        case .emptyTuple: stack.append(.tuple(add([])))
        case .tuple1, .tuple2, .tuple3:
            let count = Int(code - PickleOpcode.tuple1.rawValue) + 1
            let items = try (0..<count).map { _ throws(Flaw) in try pop() }
            stack.append(.tuple(add(items.reversed())))
        case .tuple: stack.append(.tuple(add(try popToMark())))
        case .emptyList, .emptySet: stack.append(.list(add([])))
        case .emptyDictionary: stack.append(.dictionary(add([])))
        case .mark: stack.append(.mark)
        case .append: try extend([try pop()], isDictionary: false)
        case .appends: try extend(try popToMark(), isDictionary: false)
        case .setItem:
            let value = try pop()
            try extend([try pop(), value], isDictionary: true)
        case .setItems: try extend(try popToMark(), isDictionary: true)
        case .put1: memory[Int(try byte())] = try top()
        case .put4: memory[try number(4)] = try top()
        case .get1: stack.append(try recall(Int(try byte())))
        case .get4: stack.append(try recall(try number(4)))
        case .persistentID: stack.append(.storage(try storage(try pop())))
        case .reduce, .newObject:
            let arguments = try pop()
            stack.append(try call(try pop(), arguments))
        case .build:  // attributes of a dictionary (_metadata), which hold no tensor
            _ = try pop()
            guard case .dictionary = try top() else {
                throw Flaw(problem: "sets attributes of something other than a dictionary", isRefusal: true)
            }
        case .stop:
            value = try pop()
            return true
        }
        return false
    }

    // MARK: Calls, matched by name

    private mutating func call(_ function: PickleValue, _ arguments: PickleValue) throws(Flaw) -> PickleValue {
        guard case .global(let global) = function, case .tuple(let place) = arguments else {
            throw Flaw(problem: "calls something other than a known function", isRefusal: true)
        }
        let items = containers[place]
        switch global {
        case .orderedDictionary where items.isEmpty: return .dictionary(add([]))
        case .parameter:
            if case .tensor? = items.first { return items[0] }
        case .size:
            if items.count == 1, case .tuple = items[0] { return items[0] }
        case .device: return .none
        case .tensor where items.count >= 4: return .tensor(try tensor(items, type: nil))
        case .typedTensor where items.count >= 7:
            if case .global(.type(let type)) = items[6] { return .tensor(try tensor(items, type: type)) }
        default: break
        }
        throw Flaw(problem: "calls \(global) with arguments that it does not take")
    }

    private func tensor(_ items: [PickleValue], type: TensorType?) throws(Flaw) -> PickleTensor {
        guard case .storage(let storage) = items[0], case .integer(let offset) = items[1],
            let shape = integers(items[2]), let strides = integers(items[3]), let type = type ?? storage.type
        else { throw Flaw(problem: "describes a tensor by the wrong kinds of values") }
        return PickleTensor(storage: storage, type: type, offset: offset, shape: shape, strides: strides)
    }

    /// ("storage", class, key, device, elements), before torch 1.6 with None behind.
    private mutating func storage(_ value: PickleValue) throws(Flaw) -> PickleStorage {
        guard case .tuple(let place) = value, case let items = containers[place], items.count >= 5,
            case .text("storage") = items[0], case .global(.storage(let type)) = items[1],
            case .text(let key) = items[2], case .integer(let count) = items[4], count >= 0
        else { throw Flaw(problem: "describes a storage by the wrong kinds of values") }
        if items.count > 5 {
            guard case .none = items[5] else { throw Flaw(problem: "has a view of a storage", isRefusal: true) }
        }
        let storage = PickleStorage(key: key, type: type, count: count)
        storages[key] = storage
        return storage
    }

    private func integers(_ value: PickleValue) -> [Int]? {
        guard case .tuple(let place) = value else { return nil }
        var numbers: [Int] = []
        for item in containers[place] {
            guard case .integer(let number) = item else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    // MARK: Stack and memory

    private mutating func add(_ items: [PickleValue]) -> Int {
        containers.append(items)
        return containers.count - 1
    }

    private mutating func extend(_ items: [PickleValue], isDictionary: Bool) throws(Flaw) {
        switch try top() {
        case .list(let place) where !isDictionary: containers[place] += items
        case .dictionary(let place) where isDictionary && items.count % 2 == 0: containers[place] += items
        default: throw Flaw(problem: "puts items into something that takes none")
        }
    }

    private mutating func pop() throws(Flaw) -> PickleValue {
        guard let last = stack.popLast() else { throw Flaw(problem: "takes a value from an empty stack") }
        if case .mark = last { throw Flaw(problem: "takes a mark for a value") }
        return last
    }

    private func top() throws(Flaw) -> PickleValue {
        guard let last = stack.last else { throw Flaw(problem: "takes a value from an empty stack") }
        return last
    }

    private mutating func popToMark() throws(Flaw) -> [PickleValue] {
        guard let start = stack.lastIndex(where: { if case .mark = $0 { true } else { false } }) else {
            throw Flaw(problem: "lacks a mark")
        }
        let items = Array(stack[(start + 1)...])
        stack.removeSubrange(start...)
        return items
    }

    private func recall(_ key: Int) throws(Flaw) -> PickleValue {
        guard let value = memory[key] else { throw Flaw(problem: "recalls the value \(key), which it never stored") }
        return value
    }

    // MARK: Bytes

    private mutating func byte() throws(Flaw) -> UInt8 {
        guard place < bytes.count else { throw Flaw(problem: "is truncated") }
        place += 1
        return bytes[place - 1]
    }

    /// A little-endian number of `width` bytes.
    private mutating func number(_ width: Int) throws(Flaw) -> Int {
        guard width <= bytes.count - place else { throw Flaw(problem: "is truncated") }
        place += width
        return bytes[place - width..<place].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// A signed little-endian number of `width` bytes.
    private mutating func long(_ width: Int) throws(Flaw) -> Int {
        guard width <= 8 else { throw Flaw(problem: "has a number of \(width) bytes") }
        let value = try number(width)
        let unused = 64 - 8 * width
        return width == 0 ? 0 : (value << unused) >> unused
    }

    private mutating func text(_ length: Int) throws(Flaw) -> String {
        guard length <= bytes.count - place else { throw Flaw(problem: "is truncated") }
        place += length
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[place - length..<place]), as: UTF8.self)
    }

    /// The text up to the next newline, which a name of a module is shorter than.
    private mutating func line() throws(Flaw) -> String {
        let end = min(bytes.count, place + 1000)
        guard let newline = bytes[place..<end].firstIndex(of: 0x0A) else { throw Flaw(problem: "has a damaged name") }
        defer { place = newline + 1 }
        return try text(newline - place)
    }
}
