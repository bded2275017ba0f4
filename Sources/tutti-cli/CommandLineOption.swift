// `Option` in this module is a command-line option; TuttiGround has a type of this name for configurations.

import ArgumentParser

/// A command-line option of ArgumentParser.
typealias Option<Value> = ArgumentParser.Option<Value>
