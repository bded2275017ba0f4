// Entry point: parse, run, and end with the contracted exit code.

CommandSession.main()
