// The CPUs of a thread, as plain words: cpu_set_t is accessible only through macros.
#define _GNU_SOURCE
#include "CTuttiMPI.h"
#include <errno.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#endif

int tutti_affinity(uint64_t *mask, int words) {
    memset(mask, 0, (size_t)words * sizeof(uint64_t));
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return errno;
    for (int cpu = 0; cpu < words * 64 && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) mask[cpu / 64] |= (uint64_t)1 << (cpu % 64);
    return 0;
#else
    return ENOSYS;
#endif
}

int tutti_bind_thread(int cpu) {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
#else
    (void)cpu;
    return ENOSYS;
#endif
}
