// The opcodes and globals of pickles that torch's state dicts use, and the names of those that are refused.
//
// Reference: pickletools.py in CPython; torch/_weights_only_unpickler.py (the restricted reader of torch itself).

/// The opcodes that are interpreted.
enum PickleOpcode: UInt8 {
    case proto = 0x80
    case global = 0x63
    case none = 0x4E
    case newTrue = 0x88
    case newFalse = 0x89
    case integer1 = 0x4B
    case integer2 = 0x4D
    case integer4 = 0x4A
    case long1 = 0x8A
    case float = 0x47
    case unicode = 0x58
    case shortString = 0x55
    case emptyTuple = 0x29
    case tuple = 0x74
    case tuple1 = 0x85
    case tuple2 = 0x86
    case tuple3 = 0x87
    case emptyList = 0x5D
    case emptySet = 0x8F
    case emptyDictionary = 0x7D
    case mark = 0x28
    case append = 0x61
    case appends = 0x65
    case setItem = 0x73
    case setItems = 0x75
    case put1 = 0x71
    case put4 = 0x72
    case get1 = 0x68
    case get4 = 0x6A
    case persistentID = 0x51
    case reduce = 0x52
    case newObject = 0x81
    case build = 0x62
    case stop = 0x2E

    /// The names of all others.
    static let refused: [UInt8: String] = [
        0x49: "INT", 0x4C: "LONG", 0x69: "INST", 0x6F: "OBJ", 0x50: "PERSID", 0x30: "POP", 0x31: "POP_MARK",
        0x32: "DUP", 0x46: "FLOAT", 0x53: "STRING", 0x54: "BINSTRING", 0x56: "UNICODE", 0x64: "DICT", 0x6C: "LIST",
        0x67: "GET", 0x70: "PUT", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x8B: "LONG4", 0x42: "BINBYTES",
        0x43: "SHORT_BINBYTES", 0x8C: "SHORT_BINUNICODE", 0x8D: "BINUNICODE8", 0x8E: "BINBYTES8", 0x90: "ADDITEMS",
        0x91: "FROZENSET", 0x92: "NEWOBJ_EX", 0x93: "STACK_GLOBAL", 0x94: "MEMOIZE", 0x95: "FRAME",
        0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
    ]
}

/// The names that a state dict may use.
enum PickleGlobal: Equatable, CustomStringConvertible {
    case orderedDictionary
    /// A view of a storage: (storage, offset, size, stride, requires_grad, hooks).
    case tensor
    /// The same with a type as seventh argument.
    case typedTensor
    /// A tensor that is trained.
    case parameter
    /// A storage class; nil = bytes.
    case storage(TensorType?)
    case type(TensorType)
    case size
    case device

    /// The global called `module`.`name`; nil if no tensor needs it.
    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch._utils", "_rebuild_tensor_v2"): self = .tensor
        case ("torch._utils", "_rebuild_tensor_v3"): self = .typedTensor
        case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"):
            self = .parameter
        case ("torch", "Size"): self = .size
        case ("torch", "device"): self = .device
        case ("torch.storage", "UntypedStorage"), ("torch.storage", "TypedStorage"): self = .storage(nil)
        case ("torch", _):
            if let type = Self.storages[name] {
                self = .storage(type)
            } else if let type = Self.types[name] {
                self = .type(type)
            } else {
                return nil
            }
        default: return nil
        }
    }

    var description: String {
        switch self {
        case .orderedDictionary: "OrderedDict"
        case .tensor: "_rebuild_tensor_v2"
        case .typedTensor: "_rebuild_tensor_v3"
        case .parameter: "_rebuild_parameter"
        case .storage: "a storage class"
        case .type: "a type"
        case .size: "torch.Size"
        case .device: "torch.device"
        }
    }

    private static let storages: [String: TensorType] = [
        "FloatStorage": .f32, "DoubleStorage": .f64, "HalfStorage": .f16, "BFloat16Storage": .bf16,
        "LongStorage": .i64, "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8,
        "BoolStorage": .bool,
    ]

    private static let types: [String: TensorType] = [
        "float32": .f32, "float64": .f64, "float16": .f16, "bfloat16": .bf16, "int64": .i64, "int32": .i32,
        "int16": .i16, "int8": .i8, "uint8": .u8, "uint16": .u16, "uint32": .u32, "uint64": .u64, "bool": .bool,
    ]
}
