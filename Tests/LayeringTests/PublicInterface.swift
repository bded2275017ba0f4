// The public interface of sources, read from their text: each public declaration with the types around it.
//
// Enough of Swift is understood for sources that swift-format has formatted: comments, strings with interpolations, braces,
// modifiers. Requirements of public protocols and cases of public enumerations are public as well.

/// Reads declarations.
struct PublicInterface {
    private struct Scope {
        let name: String
        /// Whether members are public without saying so: of protocols and `public extension`; of enumerations the cases.
        let membersArePublic: Bool, casesArePublic: Bool
    }

    private static let kinds: Set<String> = [
        "class", "struct", "enum", "protocol", "actor", "extension", "func", "var", "let", "init", "init?", "subscript",
        "typealias", "case", "associatedtype",
    ]
    private static let types: Set<String> = ["class", "struct", "enum", "protocol", "actor", "extension"]

    /// "Type: declaration" for every public declaration of `text`, in its order.
    static func declarations(_ text: String) -> [String] {
        var found: [String] = []
        var scopes: [Scope?] = []  // nil: a body or anything else in braces
        var statement = ""
        var parentheses = 0
        func finish(opens: Bool) {
            let scope = take(statement, in: scopes, &found)
            if opens { scopes.append(scope) }
            statement = ""
        }
        for (character, isCode) in Lexer(text) {
            guard isCode, parentheses == 0 || "()".contains(character) else {
                statement.append(character == "\n" ? " " : character)
                continue
            }
            switch character {
            case "(", ")":
                parentheses = max(0, parentheses + (character == "(" ? 1 : -1))
                statement.append(character)
            case "{": finish(opens: true)
            case "}":
                finish(opens: false)
                _ = scopes.popLast()
            case "\n":
                if isWhole(statement) { finish(opens: false) } else { statement.append(" ") }
            default: statement.append(character)
            }
        }
        return found
    }

    /// Whether a line ends a declaration: parentheses are closed, and it is no attribute or open expression.
    private static func isWhole(_ statement: String) -> Bool {
        var depth = 0
        for character in statement {
            if "([".contains(character) { depth += 1 }
            if ")]".contains(character) { depth -= 1 }
        }
        let last = statement.last { $0 != " " }
        return depth <= 0 && !(last.map { "=,:".contains($0) } ?? false)
            && !statement.split(separator: " ").allSatisfy { $0.hasPrefix("@") }
    }

    /// Notes `statement` if it declares something public; the scope that it opens if it is a type.
    private static func take(_ statement: String, in scopes: [Scope?], _ found: inout [String]) -> Scope? {
        guard !scopes.contains(where: { $0 == nil }) else { return nil }  // inside of a body
        var words = statement.split(separator: " ").map(String.init)
        while let first = words.first, first.hasPrefix("@") { words.removeFirst() }
        let place = words.firstIndex { kinds.contains(String($0.prefix { $0 != "(" && $0 != "<" })) }
        guard let place else { return nil }
        let kind = String(words[place].prefix { $0 != "(" && $0 != "<" })
        let parent = scopes.last ?? nil
        let modifiers = words[..<place]
        let hidden = ["package", "private", "fileprivate", "internal"].contains { modifiers.contains($0) }
        let isPublic =
            !hidden
            && (modifiers.contains("public") || modifiers.contains("open") || parent?.membersArePublic == true
                || kind == "case" && parent?.casesArePublic == true)
        let path = scopes.compactMap { $0?.name }.joined(separator: ".")
        if isPublic, kind != "extension" {
            found.append((path.isEmpty ? "" : path + ": ") + words.joined(separator: " "))
        }
        guard types.contains(kind), place + 1 < words.count else { return nil }
        let name = String(words[place + 1].prefix { $0.isLetter || $0.isNumber || "_.".contains($0) })
        return Scope(
            name: name, membersArePublic: kind == "protocol" ? isPublic : kind == "extension" && isPublic,
            casesArePublic: kind == "enum" && isPublic)
    }
}

/// The characters of Swift sources without comments; those inside of strings are marked as no code.
private struct Lexer: Sequence {
    private let text: [Character]

    init(_ text: String) { self.text = Array(text) }

    func makeIterator() -> AnyIterator<(Character, Bool)> {
        var place = 0
        // For each string that is open: whether it has three quotes, and the parentheses open in its interpolation.
        var strings: [(isLong: Bool, parentheses: Int?)] = []
        func starts(_ word: String) -> Bool { text[place...].starts(with: word) }
        return AnyIterator {
            while place < text.count {
                let character = text[place]
                if let string = strings.last, string.parentheses == nil {
                    if character == "\\", place + 1 < text.count {
                        if text[place + 1] == "(" { strings[strings.count - 1].parentheses = 1 }
                        place += 2
                        return ("\\", false)
                    }
                    if string.isLong ? starts("\"\"\"") : character == "\"" {
                        strings.removeLast()
                        place += string.isLong ? 3 : 1
                        return ("\"", false)
                    }
                    place += 1
                    return (character, false)
                }
                if starts("//") {
                    while place < text.count, text[place] != "\n" { place += 1 }
                    continue
                }
                if character == "\"" {
                    let isLong = starts("\"\"\"")
                    strings.append((isLong, nil))
                    place += isLong ? 3 : 1
                    return ("\"", false)
                }
                place += 1
                if let open = strings.last?.parentheses {
                    let change = character == "(" ? 1 : character == ")" ? -1 : 0
                    strings[strings.count - 1].parentheses = open + change == 0 ? nil : open + change
                    return (character, false)
                }
                return (character, true)
            }
            return nil
        }
    }
}
