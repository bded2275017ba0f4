// Pages shared by the processes of one node: anonymous in-memory files, on 2 MiB boundaries, advised for huge pages.
//
// memfd and not /dev/shm: that file system is often limited to 64 MB in containers, and a page that does not fit kills
// the process. These pages are limited only by memory, like private ones.
#define _GNU_SOURCE 1
#include "CTuttiKernels.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <fcntl.h>
#include <sys/stat.h>
#endif

static const int64_t huge = 2 << 20;

int tutti_shared_create(int64_t bytes) {
#ifdef __linux__
    int descriptor = memfd_create("tutti", MFD_CLOEXEC);
    if (descriptor < 0) return -errno;
    if (ftruncate(descriptor, bytes) == 0) return descriptor;
    int problem = errno;
    close(descriptor);
    return -problem;
#else
    (void)bytes;
    return -ENOSYS;
#endif
}

int tutti_shared_open(int64_t process, int descriptor, int64_t bytes) {
#ifdef __linux__
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)process, descriptor);
    int own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0) return -errno;
    struct stat status;
    if (fstat(own, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == bytes) return own;
    close(own);
    return -ESTALE;
#else
    (void)process, (void)descriptor, (void)bytes;
    return -ENOSYS;
#endif
}

void *tutti_shared_map(int descriptor, int64_t bytes) {
    int64_t page = sysconf(_SC_PAGESIZE);
    bytes = (bytes + page - 1) / page * page; // munmap below takes only whole pages
    // Reserve one huge page more than requested, map over its aligned part, unmap the rest.
    char *raw = mmap(NULL, (size_t)(bytes + huge), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    int64_t lead = (huge - (int64_t)((uintptr_t)raw % (uintptr_t)huge)) % huge;
    if (lead > 0) munmap(raw, (size_t)lead);
    char *pages = mmap(raw + lead, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
    if (pages == MAP_FAILED) {
        munmap(raw + lead, (size_t)(bytes + huge - lead));
        return NULL;
    }
    if (huge - lead > 0) munmap(pages + bytes, (size_t)(huge - lead));
#ifdef MADV_HUGEPAGE
    (void)madvise(pages, (size_t)bytes, MADV_HUGEPAGE); // a hint only: without it pages are small
#endif
    return pages;
}

void tutti_shared_close(int descriptor) { close(descriptor); }
