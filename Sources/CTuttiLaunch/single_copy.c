// Two child processes act as two ranks: siblings, of which the one being read has allowed it by prctl, as in Open MPI.
//
// Only calls that are safe between fork and exit: the process may have threads.
#define _GNU_SOURCE
#include "CTuttiLaunch.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/uio.h>
#endif

#ifdef __linux__
#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#define PR_SET_PTRACER_ANY ((unsigned long)-1)
#endif

static char source[] = "neighbour"; // at the same address in both children
static char target[sizeof source];

static int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return status;
}

int tutti_single_copy(void) {
    int allowed[2];
    if (pipe(allowed) != 0) return 0;
    pid_t parent = getpid();
    pid_t read_one = fork();
    if (read_one == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        if (getppid() != parent || write(allowed[1], ".", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char answer = 0;
    ssize_t got = -1;
    close(allowed[1]);
    while (read_one > 0 && (got = read(allowed[0], &answer, 1)) < 0 && errno == EINTR) {}
    close(allowed[0]);
    pid_t reader = got == 1 ? fork() : -1;
    if (reader == 0) {
        struct iovec local = {target, sizeof target}, remote = {source, sizeof source};
        ssize_t count = process_vm_readv(read_one, &local, 1, &remote, 1, 0);
        _exit(count == (ssize_t)sizeof source && memcmp(source, target, sizeof source) == 0 ? 0 : 1);
    }
    int status = reader > 0 ? wait_for(reader) : 1;
    if (read_one > 0) {
        kill(read_one, SIGKILL);
        wait_for(read_one);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int tutti_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno; }
#else
int tutti_single_copy(void) { return 0; }

int tutti_adopt_orphans(void) { return ENOSYS; }
#endif
