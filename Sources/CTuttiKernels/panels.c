// The memory of packed panels, one block a thread.
#define _GNU_SOURCE 1
#include "panels.h"
#include "CTuttiKernels.h"
#include <pthread.h>
#include <stddef.h>

typedef struct {
    void *pages;
    int64_t bytes;
} panel_memory;

static pthread_key_t memory_key;
static pthread_once_t memory_once = PTHREAD_ONCE_INIT;
static _Thread_local panel_memory memory;

static void release_memory(void *owned) {
    panel_memory *panels = owned;
    if (panels->pages) tutti_pages_unmap(panels->pages, panels->bytes);
    panels->pages = NULL;
    panels->bytes = 0;
}

static void make_key(void) { (void)pthread_key_create(&memory_key, release_memory); }

void *tutti_panels(int64_t bytes) {
    bytes = (bytes + (2 << 20) - 1) & ~(int64_t)((2 << 20) - 1);
    if (bytes > memory.bytes) {
        pthread_once(&memory_once, make_key);
        if (memory.pages) tutti_pages_unmap(memory.pages, memory.bytes);
        memory.pages = tutti_pages_map(bytes);
        if (!memory.pages) __builtin_trap(); // no memory for the panels of one product: like a failed arena
        memory.bytes = bytes;
        (void)pthread_setspecific(memory_key, &memory);
    }
    return memory.pages;
}
