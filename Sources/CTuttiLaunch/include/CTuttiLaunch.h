// Linux calls that a launcher needs and Swift cannot make: fork, and variadic functions.
#ifndef TUTTI_LAUNCH_H
#define TUTTI_LAUNCH_H

#include <sys/types.h>

// Whether a process on this host may read the memory of a sibling (process_vm_readv): 1 or 0.
//
// Open MPI copies large messages between ranks of one host that way (btl vader, mechanism "cma"). Containers often
// forbid it (seccomp, no CAP_SYS_PTRACE); Open MPI then prints an error for every message instead of falling back.
int tutti_single_copy(void);

// Starts the program argv[0] as a child with no signal blocked, ignored or handled, reading nothing, its standard error
// going to `errors` and its standard output to `output` (-1: to that of this process), in a process group of its own;
// 0, or errno.
//
// The child gets SIGTERM when the thread that started it ends, however it ends: call it on the main thread, and the
// child does not outlive its parent, even one that SIGKILL ends.
int tutti_start(char *const argv[], char *const envp[], int output, int errors, pid_t *child);

// Starts a process that ends `job`, a child of this process, should this process end before it: `job` gets SIGTERM then
// (tutti_start), and if it does not end, because somebody has stopped it or one of those that it waits for, the guard
// wakes it after a second, and kills it with its process group after eight.
//
// The result is a descriptor, and `*guard` its process; -1 if the system refuses. When the job has ended, kill the guard,
// collect it and close the descriptor.
int tutti_guard(pid_t job, pid_t *guard);

// Orphans among the descendants of this process become its children from now on; 0, or errno.
int tutti_adopt_orphans(void);

#endif
