// HubRepository: a model or data set of the hub, and how its addresses and cache folders are called.
//
// Reference: huggingface_hub/hf_api.py, huggingface_hub/file_download.py.

import TuttiGround

/// A repository of the hub.
package struct HubRepository: Sendable, Hashable, CustomStringConvertible {
    /// What a repository holds.
    package enum Kind: String, Sendable {
        case model
        case dataset

        /// "models", "datasets".
        var plural: String { rawValue + "s" }
    }

    /// "organization/name", or the name alone of a few old models.
    package let id: String
    package let kind: Kind

    /// A repository by its id.
    package init(_ id: String, kind: Kind = .model) { (self.id, self.kind) = (id, kind) }

    package var description: String { kind == .model ? id : "datasets/\(id)" }

    /// The folder of the cache: "models--org--name".
    package var folder: String { kind.plural + "--" + id.split(separator: "/").joined(separator: "--") }

    /// The path of its interface: "/api/models/org/name".
    var api: String { "/api/\(kind.plural)/\(id)" }

    /// The path of its pages and files: "/org/name", "/datasets/org/name".
    package var page: String { (kind == .model ? "/" : "/datasets/") + id }

    /// True for "name" and "org/name" of the characters that ids have.
    package static func isID(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, text.utf8.count <= 96, !text.contains("--"), !text.contains("..") else { return false }
        return parts.allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".") && !part.hasPrefix("-") && !part.hasSuffix(".")
                && !part.hasSuffix("-") && part.allSatisfy { isPlain($0) }
        }
    }

    /// True for a branch, a tag or a commit that can be part of an address and of a path.
    package static func isRevision(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".") && part.allSatisfy { isPlain($0) || $0 == "+" }
        }
    }

    /// True for the 40 digits of a commit.
    package static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// True for a path of a file that stays inside the repository's folder.
    static func isInside(_ path: String) -> Bool {
        !path.isEmpty && !path.hasPrefix("/") && !path.contains("\0")
            && path.split(separator: "/", omittingEmptySubsequences: false)
                .allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    }

    private static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
    }
}

/// What a user writes for a repository at a revision: "org/name", "org/name@revision".
package struct HubReference: Sendable, Hashable {
    /// "org/name".
    package let id: String
    /// A branch, tag or commit; nil for main.
    package let revision: String?

    /// Parts of a text; nil for a text that cannot be one.
    package init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard HubRepository.isID(parts[0]), parts.count == 1 || HubRepository.isRevision(parts[1]) else { return nil }
        id = parts[0]
        revision = parts.count > 1 ? parts[1] : nil
    }

    /// An id and a revision.
    package init(id: String, revision: String?) { (self.id, self.revision) = (id, revision) }
}

/// Text for an address: all but unreserved characters, and those of `safe`, as %XX.
package func percentEncoded(_ text: String, safe: String = "") -> String {
    let digits = Array("0123456789ABCDEF")
    return text.utf8.reduce(into: "") { result, byte in
        let character = Character(UnicodeScalar(byte))
        let isPlain = character.isASCII && (character.isLetter || character.isNumber || "-_.~".contains(character))
        if isPlain || safe.contains(character) {
            result.append(character)
        } else {
            result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }
    }
}
