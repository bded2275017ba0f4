// Errors in the description of an encoder, found before any computation.

import TuttiGround

/// The error for a description that no encoder can be built from. The reader of the file adds its name.
///
/// - Parameters:
///   - subject: the setting at fault, by the name users know (a key of config.json, or a module of the model).
///   - problem: what is wrong with it.
///   - hint: how to fix it, if known.
func planError(_ subject: String, _ problem: String, hint: String? = nil) -> TuttiError {
    TuttiError(.data, "plan the encoder", subject, problem, hint: hint)
}
