// Memory for the packed panels of matrix products: it belongs to the calling thread, grows to the largest product and is
// freed with the thread.
#pragma once
#include <stdint.h>

/// At least `bytes` bytes on a 64-byte boundary, valid until the thread's next call; never null.
void *tutti_panels(int64_t bytes);
