// Starts a child that ends with its parent: what posix_spawn has no attribute for (PR_SET_PDEATHSIG).
//
// Only calls that are safe between fork and exec: the process may have threads.
#define _GNU_SOURCE
#include "CTuttiLaunch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>

// Never returns but by a failure, which `errno` names.
static void become(char *const argv[], char *const envp[], int output, int errors, pid_t parent) {
#ifdef __linux__
    // Before the parent is looked at: it dies either before, and is seen to be gone, or after, and is announced. All
    // signals that the parent holds are blocked still: one that comes now waits until the program is there.
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0) return;
#endif
    if (getppid() != parent) _exit(1);
    if (setpgid(0, 0) != 0) return;
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0) return;
    if (output >= 0 && dup2(output, STDOUT_FILENO) < 0) return;
    if (nothing != STDIN_FILENO) close(nothing);
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    execve(argv[0], argv, envp);
}

int tutti_start(char *const argv[], char *const envp[], int output, int errors, pid_t *child) {
    int failure[2];
    if (pipe(failure) != 0) return errno;
    fcntl(failure[1], F_SETFD, FD_CLOEXEC); // closed by exec: the parent then reads nothing
    pid_t parent = getpid();
    pid_t made = fork();
    if (made == 0) {
        close(failure[0]);
        become(argv, envp, output, errors, parent);
        int code = errno;
        _exit(write(failure[1], &code, sizeof code) == sizeof code ? 127 : 1);
    }
    int code = made < 0 ? errno : 0;
    close(failure[1]);
    if (made > 0) {
        ssize_t got;
        while ((got = read(failure[0], &code, sizeof code)) < 0 && errno == EINTR) {}
        if (got != sizeof code) code = 0;
        while (code != 0 && waitpid(made, 0, 0) < 0 && errno == EINTR) {}
    }
    close(failure[0]);
    *child = made;
    return code;
}
