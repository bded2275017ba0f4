// Blocks the signals that ask a run for something before the constructors of shared libraries run: OpenBLAS starts its
// threads in one, and a thread that does not block a signal can be chosen to take it.
//
// Linked into the command alone: the function lies in .preinit_array, which only an executable has. A program that uses
// Tutti as a library decides about its signals itself (StopRequest.listenToSignals).
#define _GNU_SOURCE
#include "CTuttiSignals.h"
#include <signal.h>

static int held = 0;

static void hold(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    held = sigprocmask(SIG_BLOCK, &signals, 0) == 0;
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = hold;

int tutti_signals_are_held(void) { return held; }
