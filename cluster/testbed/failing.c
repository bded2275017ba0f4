// A library for LD_PRELOAD that makes the n-th write, fsync or rename below a folder fail, as a full or broken disk does.
//   FAILING_BELOW   the folder; calls on other files pass
//   FAILING_AT      which call fails, from 1; 0: none
//   FAILING_ERROR   28 (ENOSPC) or 5 (EIO)
//   FAILING_STAYS   1: every later write fails too, as on a disk that stays full
//   FAILING_LOG     a file that gets a line per call: "write PATH", "fsync PATH", "rename PATH", with " failed" after a failure
// A failing write of more than one byte first writes half: a torn write. Built and used by cluster/testbed/suites/storage.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int calls;
static atomic_int has_failed;

static long setting(const char *name) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static int is_below(const char *path) {
    const char *folder = getenv("FAILING_BELOW");
    size_t length = folder ? strlen(folder) : 0;
    return length && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static void log_call(const char *call, const char *path, int fails) {
    const char *log = getenv("FAILING_LOG");
    char line[PATH_MAX + 32];
    if (!log) return;
    int length = snprintf(line, sizeof line, "%s %s%s\n", call, path, fails ? " failed" : "");
    int file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return;
    syscall(SYS_write, file, line, length);
    syscall(SYS_close, file);
}

// Whether this call on `path` fails; counts it.
static int fails(const char *call, const char *path) {
    if (!is_below(path)) return 0;
    int number = atomic_fetch_add(&calls, 1) + 1, at = (int)setting("FAILING_AT");
    int now = number == at;
    if (now) atomic_store(&has_failed, 1);
    if (atomic_load(&has_failed) && setting("FAILING_STAYS") && strcmp(call, "write") == 0) now = 1;
    log_call(call, path, now);
    if (now) errno = (int)setting("FAILING_ERROR");
    return now;
}

// Likewise for an open file.
static int fails_on(const char *call, int file) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *bytes, size_t count) {
    REAL(write);
    if (!fails_on("write", file)) return real(file, bytes, count);
    int error = errno;
    if (count > 1) real(file, bytes, count / 2);
    errno = error;
    return -1;
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t place) {
    REAL(pwrite);
    return fails_on("write", file) ? -1 : real(file, bytes, count, place);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t place) {
    REAL(pwrite64);
    return fails_on("write", file) ? -1 : real(file, bytes, count, place);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
    REAL(writev);
    return fails_on("write", file) ? -1 : real(file, pieces, count);
}

int fsync(int file) {
    REAL(fsync);
    return fails_on("fsync", file) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return fails_on("fsync", file) ? -1 : real(file);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return fails("rename", to) ? -1 : real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(renameat);
    return fails("rename", to) ? -1 : real(from_folder, from, to_folder, to);
}
