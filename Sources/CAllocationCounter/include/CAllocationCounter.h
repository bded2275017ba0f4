// Counts heap allocations of threads that ask for it. Linked into tutti-world alone: its definitions of malloc and
// its kin take the place of the C library's in that program, all shared libraries included.

#ifndef C_ALLOCATION_COUNTER_H
#define C_ALLOCATION_COUNTER_H

#include <stdint.h>

/// Starts or stops counting the calling thread's allocations.
void tutti_count_allocations(int on);

/// Allocations of the calling thread while it was counted.
uint64_t tutti_allocation_count(void);

#endif
