// Allocation functions of glibc, counted for threads that enable it. Calls from within the BLAS library are not
// counted.

#define _GNU_SOURCE
#include "CAllocationCounter.h"

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static _Thread_local int counting;
static _Thread_local uint64_t count;

/// The address range of the BLAS library's code.
static uintptr_t blas_start, blas_end;

static int find_blas(struct dl_phdr_info *library, size_t size, void *context) {
    (void)size;
    (void)context;
    if (strstr(library->dlpi_name, "blas") == NULL) return 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        if (library->dlpi_phdr[i].p_type != PT_LOAD || !(library->dlpi_phdr[i].p_flags & PF_X)) continue;
        blas_start = library->dlpi_addr + library->dlpi_phdr[i].p_vaddr;
        blas_end = blas_start + library->dlpi_phdr[i].p_memsz;
    }
    return 0;
}

void tutti_count_allocations(int on) {
    if (blas_start == 0) dl_iterate_phdr(find_blas, NULL);
    counting = on;
}

static inline void note(void *caller) {
    uintptr_t address = (uintptr_t)caller;
    count += counting != 0 && !(address >= blas_start && address < blas_end);
}

uint64_t tutti_allocation_count(void) { return count; }

void *malloc(size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_calloc(items, bytes);
}

void *realloc(void *old, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **result, size_t alignment, size_t bytes) {
    note(__builtin_return_address(0));
    void *memory = __libc_memalign(alignment, bytes);
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}
