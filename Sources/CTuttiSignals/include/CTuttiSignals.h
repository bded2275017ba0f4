// Signals of the command, blocked from its first instruction.
#ifndef TUTTI_SIGNALS_H
#define TUTTI_SIGNALS_H

// Whether the signals were blocked before any library of this program could start a thread.
int tutti_signals_are_held(void);

#endif
