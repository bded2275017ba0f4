// Counts heap allocations of threads that enable it. Linked only into tutti-world: its definitions of malloc and
// related functions replace the C library's in that program, including all shared libraries.

#ifndef C_ALLOCATION_COUNTER_H
#define C_ALLOCATION_COUNTER_H

#include <stdint.h>

/// Starts or stops counting the calling thread's allocations.
void tutti_count_allocations(int on);

/// Allocations of the calling thread while it was counted.
uint64_t tutti_allocation_count(void);

#endif
