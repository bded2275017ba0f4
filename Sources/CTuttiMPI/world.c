// MPI calls as functions: macros become arguments, codes are returned untouched.
#define _GNU_SOURCE
#include "CTuttiMPI.h"
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int tutti_mpi_start(void) {
    int provided = 0;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS) return code;
    if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
    return MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

int tutti_mpi_finalize(void) { return MPI_Finalize(); }

int tutti_mpi_rank(int *rank) { return MPI_Comm_rank(MPI_COMM_WORLD, rank); }

int tutti_mpi_size(int *size) { return MPI_Comm_size(MPI_COMM_WORLD, size); }

void tutti_mpi_error_text(int code, char *text, int capacity) {
    char full[MPI_MAX_ERROR_STRING + 1];
    int length = 0;
    if (MPI_Error_string(code, full, &length) != MPI_SUCCESS) length = 0;
    full[length] = 0;
    snprintf(text, (size_t)capacity, "%s", length > 0 ? full : "unknown MPI error");
}

void tutti_mpi_version(char *text, int capacity) {
    char full[MPI_MAX_LIBRARY_VERSION_STRING + 1];
    int length = 0;
    if (MPI_Get_library_version(full, &length) != MPI_SUCCESS) length = 0;
    full[length] = 0;
    char *comma = strchr(full, ',');
    if (comma) *comma = 0;
    snprintf(text, (size_t)capacity, "%s", full);
}

void tutti_mpi_host_name(char *text, int capacity) {
    if (gethostname(text, (size_t)capacity) != 0) snprintf(text, (size_t)capacity, "unknown-host");
    text[capacity - 1] = 0;
}

void tutti_mpi_abort(int code) {
    int started = 0, finished = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&finished);
    if (started && !finished) MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

int tutti_mpi_barrier(void) { return MPI_Barrier(MPI_COMM_WORLD); }

int tutti_mpi_broadcast(void *bytes, int count, int root) {
    return MPI_Bcast(bytes, count, MPI_BYTE, root, MPI_COMM_WORLD);
}

int tutti_mpi_sum_floats(float *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

int tutti_mpi_sum_doubles(double *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

int tutti_mpi_max_doubles(double *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}

int tutti_mpi_gather_bytes(const void *own, int count, void *all, const int *counts, const int *starts) {
    return MPI_Allgatherv(own, count, MPI_BYTE, all, counts, starts, MPI_BYTE, MPI_COMM_WORLD);
}

int tutti_mpi_reduce_scatter_floats(const float *send, float *own, const int *counts) {
    return MPI_Reduce_scatter(send, own, counts, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

int tutti_mpi_rotate_bytes(const void *own, void *other, int count, int next, int previous) {
    return MPI_Sendrecv(own, count, MPI_BYTE, next, 0, other, count, MPI_BYTE, previous, 0, MPI_COMM_WORLD,
                        MPI_STATUS_IGNORE);
}

int tutti_mpi_sum_floats_at(const float *send, float *sum, int count, int root) {
    return MPI_Reduce(send, sum, count, MPI_FLOAT, MPI_SUM, root, MPI_COMM_WORLD);
}
