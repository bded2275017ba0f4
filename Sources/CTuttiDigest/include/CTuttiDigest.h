// SHA-256's compression function, the only hot loop of Ground: an MPNet checkpoint is 1.3 GB to digest.
#ifndef CTUTTI_DIGEST_H
#define CTUTTI_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/// Adds `count` blocks of 64 bytes to `state`, with the processor's SHA instructions if available.
/// Reference: FIPS 180-4, section 6.2.2.
void tutti_sha256_blocks(uint32_t state[_Nonnull 8], const uint8_t *_Nonnull blocks, size_t count);

/// The same without SHA instructions: for tests, on any processor.
void tutti_sha256_blocks_portable(uint32_t state[_Nonnull 8], const uint8_t *_Nonnull blocks, size_t count);

/// A fingerprint of bytes that finds every difference within one word of eight bytes; only to compare copies.
uint64_t tutti_fingerprint(const uint8_t *_Nonnull bytes, size_t count);

#endif
