// MPI for Swift: its handles and constants are macros that Swift cannot import, so each call is a function here.
// Every function returns MPI's own code, untouched; 0 is success. MPI_COMM_WORLD is the communicator of all of them.
#pragma once
#include <stdint.h>

// Starts MPI for one thread (FUNNELED); errors return codes from then on.
int tutti_mpi_start(void);
int tutti_mpi_finalize(void);
int tutti_mpi_rank(int *rank);
int tutti_mpi_size(int *size);

// Text of a code or of the library's version, cut to `capacity` with a final zero.
void tutti_mpi_error_text(int code, char *text, int capacity);
void tutti_mpi_version(char *text, int capacity);
void tutti_mpi_host_name(char *text, int capacity);

// Ends all ranks; works before MPI has started and from any thread, because nothing follows it.
void tutti_mpi_abort(int code);

int tutti_mpi_barrier(void);
int tutti_mpi_broadcast(void *bytes, int count, int root);
int tutti_mpi_sum_floats(float *values, int count);
int tutti_mpi_sum_doubles(double *values, int count);
int tutti_mpi_max_doubles(double *values, int count);
int tutti_mpi_gather_bytes(const void *own, int count, void *all, const int *counts, const int *starts);
int tutti_mpi_reduce_scatter_floats(const float *send, float *own, const int *counts);
int tutti_mpi_rotate_bytes(const void *own, void *other, int count, int next, int previous);
int tutti_mpi_sum_floats_at(const float *send, float *sum, int count, int root);

// The CPUs that this thread may run on: a bit each, in `words` words of 64; returns 0 on success.
int tutti_affinity(uint64_t *mask, int words);

// Binds this thread to one CPU; returns 0 on success.
int tutti_bind_thread(int cpu);
