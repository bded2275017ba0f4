// The settings of kernels: instruction level, thread pool, GEMM providers.
//
// They belong to the calling thread and to the threads of its pool while they run a region for it, so that two models
// with different settings can work in parallel. A thread without settings uses those of the process: initially the
// processor's best level, no other thread, OpenBLAS.
#include "vectorise.h"

static tutti_compute plain = {.level = 0, .library_threads = 1};
_Thread_local const tutti_compute *tutti_here = &plain;

__attribute__((constructor)) static void find_machine(void) {
    plain.level = tutti_machine_level();
    plain.cache = tutti_machine_cache();
    plain.wide = !tutti_machine_is_amd();
}

tutti_compute *tutti_compute_plain(void) { return &plain; }

const tutti_compute *tutti_compute_here(void) { return tutti_here; }

const tutti_compute *tutti_compute_enter(const tutti_compute *compute) {
    const tutti_compute *before = tutti_here;
    tutti_here = compute;
    return before;
}
