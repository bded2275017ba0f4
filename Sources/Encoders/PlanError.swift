// What can be wrong with an encoder's description before any number is computed.

import TuttiGround

/// The error of a description that no encoder can be built from. Who reads the description from a file names the file.
///
/// - Parameters:
///   - subject: the setting at fault, by the name users know (a key of config.json, or a module of the model).
///   - problem: what is wrong with it.
///   - hint: what would be right, if that can be said.
func planError(_ subject: String, _ problem: String, hint: String? = nil) -> TuttiError {
    TuttiError(.data, "plan the encoder", subject, problem, hint: hint)
}
