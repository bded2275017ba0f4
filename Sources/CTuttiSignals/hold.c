// Blocks the signals that control a run before the constructors of shared libraries run: OpenBLAS starts its threads in
// one, and the kernel may deliver a signal to any thread that does not block it.
//
// Linked only into the command: the function is in .preinit_array, which only an executable has. A program that uses
// Tutti as a library handles its own signals (StopRequest.listenToSignals).
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
