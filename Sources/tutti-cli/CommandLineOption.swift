// `Option` in this module is an option of a command line; TuttiGround has a type of this name for configurations.

import ArgumentParser

/// An option of a command line, as ArgumentParser has it.
typealias Option<Value> = ArgumentParser.Option<Value>
