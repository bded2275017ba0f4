// What products of small numbers share: operands in tiles of 16 rows of 64 bytes, as AMX and dot products of vectors read
// them, and the transposition that makes columns of them. Included by half_gemm.c and int8_gemm.c.
#pragma once
#include "panels.h"
#include "vectorise.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    side = 32,         // rows and columns of a block of c: two tiles of either operand
    tile_bytes = 1024,
};

typedef int32_t dwords __attribute__((vector_size(64)));

#define TILE_FEATURES FEATURES_3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#define EACH _Pragma("clang loop unroll(full)")

static inline int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
static inline int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }
static inline __mmask16 first(int64_t count) { return count >= 16 ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1 << count) - 1); }

__attribute__((target(TILE_FEATURES), min_vector_width(512))) static inline void transpose(dwords *square) {
    EACH for (int stage = 0; stage < 4; stage++) { // perfect shuffles of row pairs
        dwords mixed[16];
        EACH for (int r = 0; r < 8; r++) {
            mixed[2 * r] = __builtin_shufflevector(square[r], square[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            mixed[2 * r + 1] =
                __builtin_shufflevector(square[r], square[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        EACH for (int r = 0; r < 16; r++) square[r] = mixed[r];
    }
}

/// Eight tile registers of 16 rows of 64 bytes.
__attribute__((target("amx-tile"))) static inline void configure_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } configuration = {.palette = 1};
    for (int number = 0; number < 8; number++) configuration.bytes[number] = 64, configuration.rows[number] = 16;
    _tile_loadconfig(&configuration);
}

__attribute__((target("amx-tile"))) static inline void release_tiles(void) { _tile_release(); }

/// Whether leaf 7 of the processor's features has `bit` of `part`: 0 = EAX of subleaf 1, 2 = ECX and 3 = EDX of subleaf 0.
static inline int has_feature(int part, int bit) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, part == 0 ? 1 : 0, &a, &b, &c, &d)) return 0;
    return (part == 0 ? a : part == 2 ? c : d) >> bit & 1;
}

/// AMX needs the system's permission: its registers are large, and a process asks for them once.
static inline int may_use_tiles(void) {
    enum { request_permission = 0x1023, tile_data = 18 };
    return has_feature(3, 24) && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif
