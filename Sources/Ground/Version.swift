// Tutti's version; see CHANGELOG.md.

/// The version in checkpoints, model cards and `tutti --version`.
public let tuttiVersion = "0.2.0"

/// The version of the compiler that made this program, as far as it can be known.
package let swiftVersion: String = {
    #if compiler(>=6.4)
    "6.4 or newer"
    #elseif compiler(>=6.3)
    "6.3"
    #elseif compiler(>=6.2)
    "6.2"
    #elseif compiler(>=6.1)
    "6.1"
    #else
    "6.0"
    #endif
}()
