// Signals of the command, held from its first instruction on.
#ifndef TUTTI_SIGNALS_H
#define TUTTI_SIGNALS_H

// Whether the signals were held before any library of this program could start a thread.
int tutti_signals_are_held(void);

#endif
