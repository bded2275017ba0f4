// A process that ends a job whose launcher was killed and whose mpirun does not end by itself.
//
// It is forked and runs no other program: only calls that are safe in a fork of a process with threads.
#define _GNU_SOURCE
#include "CTuttiLaunch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

// Whether a process is gone, or only waits to be collected, which a container's first process may never do.
static int has_ended(pid_t process) {
    if (kill(process, 0) != 0 && errno == ESRCH) return 1;
    char path[32] = "/proc/", digits[16];
    int length = 6, count = 0;
    for (pid_t rest = process; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) path[length++] = digits[--count];
    memcpy(path + length, "/stat", 6);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char text[128];
    ssize_t got = read(file, text, sizeof text);
    close(file);
    // "PID (name) state": a name has at most fifteen bytes.
    while (got > 2 && text[got - 1] != ')') got--;
    return got > 2 && got + 1 < (ssize_t)sizeof text && (text[got + 1] == 'Z' || text[got + 1] == 'X');
}

static void watch_over(pid_t job, int launcher) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    setsid();
#ifdef __linux__
    prctl(PR_SET_NAME, "tutti-guard");
#endif
    for (int file = 0; file < 4096; file++)
        if (file != launcher) close(file);
    char nothing;
    while (read(launcher, &nothing, 1) < 0 && errno == EINTR) {} // until the launcher has ended
    const struct timespec nap = {0, 50000000};
    for (int naps = 0; naps < 160 && !has_ended(job); naps++) {
        if (naps == 20) kill(job, SIGTERM), kill(job, SIGCONT);
        nanosleep(&nap, 0);
    }
    if (has_ended(job)) return;
    kill(-job, SIGKILL);
    kill(job, SIGKILL);
}

int tutti_guard(pid_t job, pid_t *guard) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t made = fork();
    if (made == 0) {
        watch_over(job, ends[0]);
        _exit(0);
    }
    close(ends[0]);
    if (made < 0) {
        close(ends[1]);
        return -1;
    }
    *guard = made;
    return ends[1];
}
