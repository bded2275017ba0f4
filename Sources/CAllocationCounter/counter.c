// Allocation functions of glibc, counted for threads that ask.

#include "CAllocationCounter.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static _Thread_local int counting;
static _Thread_local uint64_t count;

void tutti_count_allocations(int on) { counting = on; }

uint64_t tutti_allocation_count(void) { return count; }

void *malloc(size_t bytes) {
    count += counting != 0;
    return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
    count += counting != 0;
    return __libc_calloc(items, bytes);
}

void *realloc(void *old, size_t bytes) {
    count += counting != 0;
    return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    count += counting != 0;
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **result, size_t alignment, size_t bytes) {
    void *memory = memalign(alignment, bytes);
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}
