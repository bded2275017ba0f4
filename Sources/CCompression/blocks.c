/* Blocks of a known length. */
#include "CCompression.h"

#include <limits.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static enum tutti_unpacked snappy(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    size_t length = 0;
    if (snappy_uncompressed_length((const char *)from, count, &length) != SNAPPY_OK) return TUTTI_DAMAGED;
    if (length != room) return TUTTI_OTHER_LENGTH;
    if (snappy_uncompress((const char *)from, count, (char *)to, &length) != SNAPPY_OK) return TUTTI_DAMAGED;
    return length == room ? TUTTI_UNPACKED : TUTTI_OTHER_LENGTH;
}

/* One or more members of gzip, or of zlib. */
static enum tutti_unpacked gzip(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    if (count > UINT_MAX || room > UINT_MAX) return TUTTI_DAMAGED;
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 32) != Z_OK) return TUTTI_NO_MEMORY;
    uint8_t spare;
    stream.next_in = (Bytef *)from;
    stream.avail_in = (uInt)count;
    stream.next_out = room > 0 ? to : &spare;
    stream.avail_out = (uInt)room;
    enum tutti_unpacked result = TUTTI_DAMAGED;
    for (;;) {
        int code = inflate(&stream, Z_FINISH);
        if (code == Z_STREAM_END) {
            if (stream.avail_in > 0) {
                if (inflateReset(&stream) == Z_OK) continue;
                break;
            }
            result = stream.avail_out == 0 ? TUTTI_UNPACKED : TUTTI_OTHER_LENGTH;
        } else if (code == Z_BUF_ERROR || code == Z_OK) {
            result = stream.avail_out == 0 ? TUTTI_OTHER_LENGTH : TUTTI_TRUNCATED;
        } else if (code == Z_MEM_ERROR) {
            result = TUTTI_NO_MEMORY;
        }
        break;
    }
    inflateEnd(&stream);
    return result;
}

static enum tutti_unpacked zstd(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    size_t length = ZSTD_decompress(to, room, from, count);
    if (ZSTD_isError(length)) return TUTTI_DAMAGED;
    return length == room ? TUTTI_UNPACKED : TUTTI_OTHER_LENGTH;
}

static enum tutti_unpacked lz4(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    if (count > INT_MAX || room > INT_MAX) return TUTTI_DAMAGED;
    int length = LZ4_decompress_safe((const char *)from, (char *)to, (int)count, (int)room);
    if (length < 0) return TUTTI_DAMAGED;
    return (size_t)length == room ? TUTTI_UNPACKED : TUTTI_OTHER_LENGTH;
}

static size_t big_endian(const uint8_t *from) {
    return (size_t)from[0] << 24 | (size_t)from[1] << 16 | (size_t)from[2] << 8 | from[3];
}

static enum tutti_unpacked lz4_hadoop(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    size_t in = 0, out = 0;
    while (count - in >= 8) {
        size_t unpacked = big_endian(from + in), packed = big_endian(from + in + 4);
        if (packed > count - in - 8 || unpacked > room - out) break;
        if (lz4(from + in + 8, packed, to + out, unpacked) != TUTTI_UNPACKED) break;
        in += 8 + packed;
        out += unpacked;
    }
    if (in == count && out == room) return TUTTI_UNPACKED;
    return lz4(from, count, to, room); /* early writers of Arrow left the lengths out */
}

static enum tutti_unpacked lz4_frame(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    LZ4F_dctx *context = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) return TUTTI_NO_MEMORY;
    size_t in = 0, out = 0;
    enum tutti_unpacked result = TUTTI_TRUNCATED;
    for (;;) {
        size_t read = count - in, written = room - out;
        size_t more = LZ4F_decompress(context, to + out, &written, from + in, &read, NULL);
        if (LZ4F_isError(more)) {
            result = TUTTI_DAMAGED;
            break;
        }
        in += read;
        out += written;
        if (more == 0 && in == count) {
            result = out == room ? TUTTI_UNPACKED : TUTTI_OTHER_LENGTH;
            break;
        }
        if (read == 0 && written == 0) {
            if (out == room && in < count) result = TUTTI_OTHER_LENGTH;
            break;
        }
    }
    LZ4F_freeDecompressionContext(context);
    return result;
}

enum tutti_unpacked tutti_unpack_block(
    enum tutti_block kind, const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    switch (kind) {
    case TUTTI_BLOCK_SNAPPY: return snappy(from, count, to, room);
    case TUTTI_BLOCK_GZIP: return gzip(from, count, to, room);
    case TUTTI_BLOCK_ZSTD: return zstd(from, count, to, room);
    case TUTTI_BLOCK_LZ4: return lz4(from, count, to, room);
    case TUTTI_BLOCK_LZ4_HADOOP: return lz4_hadoop(from, count, to, room);
    case TUTTI_BLOCK_LZ4_FRAME: return lz4_frame(from, count, to, room);
    }
    return TUTTI_DAMAGED;
}

size_t tutti_packed_bound(size_t count) { return ZSTD_compressBound(count); }

size_t tutti_pack_block(const uint8_t *from, size_t count, uint8_t *to, size_t room) {
    size_t length = ZSTD_compress(to, room, from, count, 1);
    return ZSTD_isError(length) ? 0 : length;
}

uint32_t tutti_crc32(const uint8_t *from, size_t count) { return (uint32_t)crc32_z(crc32_z(0, NULL, 0), from, count); }
