/* Streams of an unknown length, into memory that grows in place: the pages move, the bytes are not copied. */
#define _GNU_SOURCE
#include "CCompression.h"

#include <bzlib.h>
#include <limits.h>
#include <lzma.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

/* What goes in and what has come out. */
struct flow {
    const uint8_t *from;
    size_t count, in;
    uint8_t *to;
    size_t room, out;
};

static bool grow(struct flow *flow) {
    size_t room = flow->room == 0 ? (size_t)1 << 20 : flow->room * 2;
    void *at = flow->room == 0 ? mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                               : mremap(flow->to, flow->room, room, MREMAP_MAYMOVE);
    if (at == MAP_FAILED) return false;
    flow->to = at;
    flow->room = room;
    return true;
}

/* At most what an `unsigned` counts. */
static unsigned part(size_t count) { return count > UINT_MAX ? UINT_MAX : (unsigned)count; }

/* Whether only zeroes follow, with which tapes and archives fill their last block. */
static bool only_zeroes(const struct flow *flow) {
    for (size_t place = flow->in; place < flow->count; place++)
        if (flow->from[place] != 0) return false;
    return true;
}

static enum tutti_unpacked gzip(struct flow *flow) {
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return TUTTI_NO_MEMORY;
    enum tutti_unpacked result = TUTTI_UNPACKED;
    for (;;) {
        if (flow->out == flow->room && !grow(flow)) {
            result = TUTTI_NO_MEMORY;
            break;
        }
        unsigned given = part(flow->count - flow->in), room = part(flow->room - flow->out);
        stream.next_in = (Bytef *)flow->from + flow->in;
        stream.avail_in = given;
        stream.next_out = flow->to + flow->out;
        stream.avail_out = room;
        int code = inflate(&stream, Z_NO_FLUSH);
        flow->in += given - stream.avail_in;
        flow->out += room - stream.avail_out;
        if (code == Z_STREAM_END) {
            if (only_zeroes(flow)) break;
            if (inflateReset(&stream) == Z_OK) continue;
            result = TUTTI_DAMAGED;
            break;
        }
        if (code == Z_OK || (code == Z_BUF_ERROR && stream.avail_out == 0)) {
            if (flow->in < flow->count || stream.avail_out == 0) continue;
            result = TUTTI_TRUNCATED;
            break;
        }
        result = code == Z_MEM_ERROR ? TUTTI_NO_MEMORY : code == Z_BUF_ERROR ? TUTTI_TRUNCATED : TUTTI_DAMAGED;
        break;
    }
    inflateEnd(&stream);
    return result;
}

static enum tutti_unpacked zstd(struct flow *flow) {
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (stream == NULL) return TUTTI_NO_MEMORY;
    /* Files of `zstd --long=31` ask for windows beyond the library's default. */
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 31);
    enum tutti_unpacked result = TUTTI_UNPACKED;
    for (;;) {
        if (flow->out == flow->room && !grow(flow)) {
            result = TUTTI_NO_MEMORY;
            break;
        }
        ZSTD_inBuffer in = {flow->from, flow->count, flow->in};
        ZSTD_outBuffer out = {flow->to, flow->room, flow->out};
        size_t more = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(more)) {
            result = TUTTI_DAMAGED;
            break;
        }
        bool moved = in.pos > flow->in || out.pos > flow->out;
        flow->in = in.pos;
        flow->out = out.pos;
        if (more == 0 && flow->in == flow->count) break;
        if (flow->in == flow->count && flow->out < flow->room && (!moved || more > 0)) {
            result = TUTTI_TRUNCATED;
            break;
        }
    }
    ZSTD_freeDStream(stream);
    return result;
}

static enum tutti_unpacked bzip2(struct flow *flow) {
    enum tutti_unpacked result = TUTTI_UNPACKED;
    do {
        bz_stream stream = {0};
        if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return TUTTI_NO_MEMORY;
        for (;;) {
            if (flow->out == flow->room && !grow(flow)) {
                result = TUTTI_NO_MEMORY;
                break;
            }
            unsigned given = part(flow->count - flow->in), room = part(flow->room - flow->out);
            stream.next_in = (char *)flow->from + flow->in;
            stream.avail_in = given;
            stream.next_out = (char *)flow->to + flow->out;
            stream.avail_out = room;
            int code = BZ2_bzDecompress(&stream);
            flow->in += given - stream.avail_in;
            flow->out += room - stream.avail_out;
            if (code == BZ_STREAM_END) break;
            if (code != BZ_OK) {
                result = code == BZ_MEM_ERROR ? TUTTI_NO_MEMORY : TUTTI_DAMAGED;
                break;
            }
            if (flow->in == flow->count && stream.avail_out > 0) {
                result = TUTTI_TRUNCATED;
                break;
            }
        }
        BZ2_bzDecompressEnd(&stream);
    } while (result == TUTTI_UNPACKED && flow->in < flow->count);
    return result;
}

static enum tutti_unpacked xz(struct flow *flow) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK) return TUTTI_NO_MEMORY;
    stream.next_in = flow->from;
    stream.avail_in = flow->count;
    enum tutti_unpacked result = TUTTI_UNPACKED;
    for (;;) {
        if (flow->out == flow->room && !grow(flow)) {
            result = TUTTI_NO_MEMORY;
            break;
        }
        stream.next_out = flow->to + flow->out;
        stream.avail_out = flow->room - flow->out;
        lzma_ret code = lzma_code(&stream, LZMA_FINISH);
        flow->in = flow->count - stream.avail_in;
        flow->out = flow->room - stream.avail_out;
        if (code == LZMA_STREAM_END) break;
        if (code == LZMA_OK) continue;
        result = code == LZMA_MEM_ERROR ? TUTTI_NO_MEMORY : code == LZMA_BUF_ERROR ? TUTTI_TRUNCATED : TUTTI_DAMAGED;
        break;
    }
    lzma_end(&stream);
    return result;
}

enum tutti_unpacked tutti_unpack_stream(
    enum tutti_stream kind, const uint8_t *from, size_t count, uint8_t **to, size_t *length, size_t *consumed) {
    struct flow flow = {.from = from, .count = count};
    enum tutti_unpacked result = TUTTI_DAMAGED;
    if (count == 0) {
        result = TUTTI_TRUNCATED;
    } else {
        switch (kind) {
        case TUTTI_STREAM_GZIP: result = gzip(&flow); break;
        case TUTTI_STREAM_ZSTD: result = zstd(&flow); break;
        case TUTTI_STREAM_BZIP2: result = bzip2(&flow); break;
        case TUTTI_STREAM_XZ: result = xz(&flow); break;
        }
    }
    *consumed = flow.in;
    if (result == TUTTI_UNPACKED && flow.room > 0) {
        size_t kept = flow.out == 0 ? 1 : flow.out;
        void *at = mremap(flow.to, flow.room, kept, 0);
        if (at != MAP_FAILED) {
            *to = at;
            *length = flow.out;
            return TUTTI_UNPACKED;
        }
        result = TUTTI_NO_MEMORY;
    }
    if (flow.room > 0) munmap(flow.to, flow.room);
    return result;
}
