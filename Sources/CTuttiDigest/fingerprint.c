// A fast fingerprint, to compare copies that should be equal; not a digest that anybody could not forge.
//
// Eight lanes take every eighth word. A step of a lane is a bijection of its state for each word and of each word for its
// state, so two inputs that differ in one word always differ in their fingerprints; others with chance 2^-64.
#include "CTuttiDigest.h"
#include <string.h>

static const uint64_t odd = 0x9E3779B97F4A7C15u;

static inline uint64_t step(uint64_t state, uint64_t word) {
    state = (state ^ word) * odd;
    return state ^ (state >> 32);
}

uint64_t tutti_fingerprint(const uint8_t *bytes, size_t count) {
    uint64_t lanes[8], words[8];
    for (int lane = 0; lane < 8; lane++) lanes[lane] = odd * (uint64_t)(lane + 1);
    size_t place = 0;
    for (; place + sizeof words <= count; place += sizeof words) {
        memcpy(words, bytes + place, sizeof words);
        for (int lane = 0; lane < 8; lane++) lanes[lane] = step(lanes[lane], words[lane]);
    }
    memset(words, 0, sizeof words);
    if (count > place) memcpy(words, bytes + place, count - place);
    uint64_t whole = count;
    for (int lane = 0; lane < 8; lane++) whole = step(whole, step(lanes[lane], words[lane]));
    return whole;
}
