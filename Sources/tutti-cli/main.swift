// Entry point: parse, run, and end with the contracted exit code.

import CTuttiSignals
import TuttiTraining

// Linking CTuttiSignals holds them before the shared libraries start threads.
if tutti_signals_are_held() == 0 { SignalThread.hold() }
CommandSession.main()
