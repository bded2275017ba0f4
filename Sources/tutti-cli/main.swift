// Entry point: parse, run, and exit with the documented code.

import CTuttiSignals
import TuttiTraining

// Linking CTuttiSignals blocks them before the shared libraries start threads.
if tutti_signals_are_held() == 0 { SignalThread.hold() }
CommandSession.main()
