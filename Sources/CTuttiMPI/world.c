// MPI calls as functions: macros become arguments, codes are returned untouched.
#define _GNU_SOURCE
#include "CTuttiMPI.h"
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#endif

// The communicators by number. One thread makes every call, so no lock is needed.
static MPI_Comm first[8];
static MPI_Comm *comms = first;
static int count = 1, capacity = 8;

int tutti_mpi_start(void) {
    int provided = 0;
    comms[0] = MPI_COMM_WORLD;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS) return code;
    if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
    return MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

int tutti_mpi_finalize(void) { return MPI_Finalize(); }

static void exiting(int status, void *finalize) {
    if (status == 0) ((void (*)(void))finalize)();
}

void tutti_mpi_at_exit(void (*finalize)(void)) { on_exit(exiting, (void *)finalize); }

int tutti_mpi_rank(int comm, int *rank) { return MPI_Comm_rank(comms[comm], rank); }

int tutti_mpi_size(int comm, int *size) { return MPI_Comm_size(comms[comm], size); }

int tutti_mpi_split(int comm, int color, int *part) {
    if (count == capacity) {
        int wanted = 2 * capacity;
        MPI_Comm *grown = realloc(comms == first ? NULL : comms, (size_t)wanted * sizeof *comms);
        if (!grown) return MPI_ERR_NO_MEM;
        if (comms == first) memcpy(grown, first, sizeof first);
        comms = grown;
        capacity = wanted;
    }
    int code = MPI_Comm_split(comms[comm], color, 0, &comms[count]);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(comms[count], MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) *part = count++;
    return code;
}

int tutti_mpi_node(int *lowest) {
    MPI_Comm node;
    int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(MPI_COMM_WORLD, lowest);
    if (code == MPI_SUCCESS) code = MPI_Bcast(lowest, 1, MPI_INT, 0, node);
    if (code == MPI_SUCCESS) code = MPI_Comm_free(&node);
    return code;
}

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

// MPI_Abort waits for an answer of mpirun or its daemon, which may be stopped or cut off.
static void *exit_soon(void *code) {
    sleep(2);
    _exit((int)(intptr_t)code);
}

// A daemon of mpirun that is stopped, or that is cut off and waits for its messages to arrive, would outlive the job: a
// child of its own session waits for its end and kills it after eight seconds.
static void end_daemon_later(void) {
#if defined(__linux__) && defined(SYS_pidfd_open)
    char path[64], name[16] = "";
    pid_t parent = getppid();
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)parent);
    FILE *file = fopen(path, "r");
    if (!file) return;
    int isDaemon = fgets(name, sizeof name, file) && strncmp(name, "orted", 5) == 0;
    fclose(file);
    int daemon = isDaemon ? (int)syscall(SYS_pidfd_open, parent, 0) : -1;
    if (daemon < 0) return;
    if (fork() == 0) {
        struct pollfd ended = {daemon, POLLIN, 0};
        setsid();
        for (int other = 0; other < 1024; other++)
            if (other != daemon) close(other); // the job's pipes among them
        if (poll(&ended, 1, 8000) == 0) syscall(SYS_pidfd_send_signal, daemon, SIGKILL, NULL, 0);
        _exit(0);
    }
    close(daemon);
#endif
}

void tutti_mpi_abort(int code) {
    int started = 0, finished = 0;
    pthread_t reaper;
    end_daemon_later();
    (void)pthread_create(&reaper, NULL, exit_soon, (void *)(intptr_t)code);
    MPI_Initialized(&started);
    MPI_Finalized(&finished);
    if (started && !finished) MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

int tutti_mpi_barrier(int comm) { return MPI_Barrier(comms[comm]); }

int tutti_mpi_broadcast(int comm, void *bytes, int count, int root) {
    return MPI_Bcast(bytes, count, MPI_BYTE, root, comms[comm]);
}

int tutti_mpi_sum_floats(int comm, float *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, comms[comm]);
}

int tutti_mpi_sum_doubles(int comm, double *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, comms[comm]);
}

int tutti_mpi_max_doubles(int comm, double *values, int count) {
    return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, comms[comm]);
}

int tutti_mpi_gather_bytes(int comm, const void *own, int count, void *all, const int *counts, const int *starts) {
    return MPI_Allgatherv(own, count, MPI_BYTE, all, counts, starts, MPI_BYTE, comms[comm]);
}

int tutti_mpi_reduce_scatter_floats(int comm, const float *send, float *own, const int *counts) {
    return MPI_Reduce_scatter(send, own, counts, MPI_FLOAT, MPI_SUM, comms[comm]);
}

int tutti_mpi_rotate_bytes(int comm, const void *own, void *other, int count, int next, int previous) {
    return MPI_Sendrecv(own, count, MPI_BYTE, next, 0, other, count, MPI_BYTE, previous, 0, comms[comm],
                        MPI_STATUS_IGNORE);
}

int tutti_mpi_sum_floats_at(int comm, const float *send, float *sum, int count, int root) {
    return MPI_Reduce(send, sum, count, MPI_FLOAT, MPI_SUM, root, comms[comm]);
}

// The messages between single ranks, by slot. One thread makes every call.
static MPI_Request *requests;
static int slots;

int tutti_mpi_slots(int wanted) {
    if (wanted <= slots) return MPI_SUCCESS;
    MPI_Request *grown = realloc(requests, (size_t)wanted * sizeof *grown);
    if (!grown) return MPI_ERR_NO_MEM;
    for (; slots < wanted; slots++) grown[slots] = MPI_REQUEST_NULL;
    requests = grown;
    return MPI_SUCCESS;
}

int tutti_mpi_send(int comm, const void *bytes, int count, int rank, int tag, int slot) {
    return MPI_Isend(bytes, count, MPI_BYTE, rank, tag, comms[comm], &requests[slot]);
}

int tutti_mpi_receive(int comm, void *bytes, int count, int rank, int tag, int slot) {
    return MPI_Irecv(bytes, count, MPI_BYTE, rank, tag, comms[comm], &requests[slot]);
}

int tutti_mpi_completed(int first, int waits, int *done, int *many) {
    int code = waits ? MPI_Waitsome(first, requests, many, done, MPI_STATUSES_IGNORE)
                     : MPI_Testsome(first, requests, many, done, MPI_STATUSES_IGNORE);
    if (*many == MPI_UNDEFINED) *many = 0;
    return code;
}
