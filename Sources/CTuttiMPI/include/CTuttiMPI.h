// MPI for Swift: its handles and constants are macros that Swift cannot import, so each call is a function here.
// Every function returns MPI's own code, untouched; 0 is success. A communicator is a number: 0 is all ranks, others
// come from tutti_mpi_split and live until MPI ends.
#pragma once
#include <stdint.h>

// Starts MPI for one thread (FUNNELED); errors return codes from then on.
int tutti_mpi_start(void);
int tutti_mpi_finalize(void);

// Registers `finalize` to run when this process exits with code 0 while MPI is running. It does not run after another
// code: the launcher then ends the other ranks, which may be waiting in a collective.
void tutti_mpi_at_exit(void (*finalize)(void));

int tutti_mpi_rank(int comm, int *rank);
int tutti_mpi_size(int comm, int *size);

// A new communicator of the ranks of `comm` with the same color, in the same order.
int tutti_mpi_split(int comm, int color, int *part);
// The lowest of the ranks that can share memory with this one.
int tutti_mpi_node(int *lowest);

// Text of a code or of the library's version, truncated to `capacity` and null-terminated.
void tutti_mpi_error_text(int code, char *text, int capacity);
void tutti_mpi_version(char *text, int capacity);
void tutti_mpi_host_name(char *text, int capacity);

// Ends all ranks, within two seconds at least this one, and a daemon of mpirun that does not end by itself; works before
// MPI has started and from any thread.
void tutti_mpi_abort(int code);

int tutti_mpi_barrier(int comm);
int tutti_mpi_broadcast(int comm, void *bytes, int count, int root);
int tutti_mpi_sum_floats(int comm, float *values, int count);
int tutti_mpi_sum_doubles(int comm, double *values, int count);
int tutti_mpi_max_doubles(int comm, double *values, int count);
int tutti_mpi_gather_bytes(int comm, const void *own, int count, void *all, const int *counts, const int *starts);
int tutti_mpi_reduce_scatter_floats(int comm, const float *send, float *own, const int *counts);
int tutti_mpi_rotate_bytes(int comm, const void *own, void *other, int count, int next, int previous);
int tutti_mpi_sum_floats_at(int comm, const float *send, float *sum, int count, int root);

// Messages between single ranks, each in a slot below the number that tutti_mpi_slots has made room for.
int tutti_mpi_slots(int wanted);
int tutti_mpi_send(int comm, const void *bytes, int count, int rank, int tag, int slot);
int tutti_mpi_receive(int comm, void *bytes, int count, int rank, int tag, int slot);
// Those of the `first` slots that have become complete; waits for one if asked to and there is none yet.
int tutti_mpi_completed(int first, int waits, int *done, int *many);

// The CPUs that this thread may run on: one bit each, in `words` words of 64; returns 0 on success.
int tutti_affinity(uint64_t *mask, int words);

// Binds this thread to one CPU; returns 0 on success.
int tutti_bind_thread(int cpu);
