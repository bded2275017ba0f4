// Entries by name: those of the package, and those that programs add.

import Synchronization

/// The entries of a kind of thing that programs may add to.
package final class OpenRegistry<Entry: Sendable>: Sendable {
    private let title: String
    private let builtIn: [Entry]
    private let name: @Sendable (Entry) -> String
    private let added = Mutex<[Entry]>([])

    /// A registry of the entries of the package; `title` names it in messages.
    package init(_ title: String, _ builtIn: [Entry], name: @escaping @Sendable (Entry) -> String) {
        self.title = title
        self.builtIn = builtIn
        self.name = name
    }

    /// All entries, those of the package first.
    package var all: [Entry] { builtIn + added.withLock { $0 } }

    /// Adds an entry; an added one of the same name is replaced, a built-in one is a bug of the caller.
    package func add(_ entry: Entry) {
        let own = name(entry)
        precondition(!builtIn.contains { name($0) == own }, "\(title): '\(own)' is built in")
        added.withLock { entries in
            entries.removeAll { name($0) == own }
            entries.append(entry)
        }
    }
}
