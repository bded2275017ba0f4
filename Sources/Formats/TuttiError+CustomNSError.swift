// The exit code of a TuttiError for modules that know errors only by Foundation's protocol (TuttiEnsemble: rank zero's
// error keeps its exit code on every rank).

import Foundation

extension TuttiError: CustomNSError {
    /// The exit code.
    public var errorCode: Int { Int(kind.rawValue) }
}
