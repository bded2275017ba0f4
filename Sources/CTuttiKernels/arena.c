// Pages for arenas: anonymous memory on 2 MiB boundaries, advised for transparent huge pages.
#define _DEFAULT_SOURCE 1
#include "CTuttiKernels.h"
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const int64_t huge = 2 << 20;

static char *map(int64_t bytes, int protection) {
    // Map one huge page more than requested, then unmap what is outside the aligned part.
    char *raw = mmap(NULL, (size_t)(bytes + huge), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    int64_t lead = (huge - (int64_t)((uintptr_t)raw % (uintptr_t)huge)) % huge;
    if (lead > 0) munmap(raw, (size_t)lead);
    if (huge - lead > 0) munmap(raw + lead + bytes, (size_t)(huge - lead));
#ifdef MADV_HUGEPAGE
    (void)madvise(raw + lead, (size_t)bytes, MADV_HUGEPAGE); // a hint only: without it pages are small
#endif
    return raw + lead;
}

void *tutti_pages_map(int64_t bytes) { return map(bytes, PROT_READ | PROT_WRITE); }

void *tutti_pages_reserve(int64_t *bytes) {
    struct rlimit space;
    int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0 && getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur == RLIM_INFINITY) {
        int64_t room = pages * page / huge * huge;
        char *base = room > *bytes ? map(room, PROT_NONE) : NULL;
        if (base) {
            *bytes = room;
            return base;
        }
    }
    return map(*bytes, PROT_NONE);
}

int tutti_pages_use(void *pages, int64_t bytes) { return mprotect(pages, (size_t)bytes, PROT_READ | PROT_WRITE); }

void tutti_pages_unmap(void *pages, int64_t bytes) { munmap(pages, (size_t)bytes); }
