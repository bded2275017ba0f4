// Where the keys of a configuration stand, for errors.

import TuttiGround

/// The places (`file:line:column`) of the keys of a configuration, by key path (`args.learning_rate`).
package struct ConfigurationPlaces: Sendable {
    private let file: String
    private let places: [String: String]

    /// - Parameter places: key path -> `file:line:column`; a path that is absent is reported as `file: path`.
    package init(file: String, places: [String: String] = [:]) {
        self.file = file
        self.places = places
    }

    /// The place of a key path, or of its nearest enclosing key.
    package func place(_ path: String) -> String {
        var enclosing = path[...]
        while true {
            if let place = places[String(enclosing)] { return "\(place): \(path)" }
            guard let dot = enclosing.lastIndex(of: ".") else { return "\(file): \(path)" }
            enclosing = enclosing[..<dot]
        }
    }

    /// An error at a key path: a usage error, exit code 64.
    func error(_ path: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "read the configuration", place(path), problem, hint: hint)
    }
}
