/* Unpacking through the system's libraries (zlib, zstd, lz4, snappy, liblzma, bzip2), and packing by zstd.
 *
 * Blocks have a length that their file tells (pages of Parquet, buffers of Arrow); streams (.gz, .zst, .bz2, .xz) do not, and
 * may hold several members, one after the other, as their programs write and read them. Nothing here trusts its input:
 * every library gets the bounds of both buffers. */
#ifndef TUTTI_COMPRESSION_H
#define TUTTI_COMPRESSION_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of blocks. */
enum tutti_block {
    TUTTI_BLOCK_SNAPPY,
    TUTTI_BLOCK_GZIP,
    TUTTI_BLOCK_ZSTD,
    TUTTI_BLOCK_LZ4,        /* the bare block format */
    TUTTI_BLOCK_LZ4_HADOOP, /* blocks behind big-endian lengths, as Hadoop writes them, or one bare block */
    TUTTI_BLOCK_LZ4_FRAME
};

/* Kinds of streams. */
enum tutti_stream { TUTTI_STREAM_GZIP, TUTTI_STREAM_ZSTD, TUTTI_STREAM_BZIP2, TUTTI_STREAM_XZ };

/* What becomes of unpacking. */
enum tutti_unpacked {
    TUTTI_UNPACKED,
    TUTTI_DAMAGED,      /* not data of this kind */
    TUTTI_TRUNCATED,    /* the data end too early */
    TUTTI_OTHER_LENGTH, /* a block of another length */
    TUTTI_NO_MEMORY
};

/* Unpacks a block of `count` bytes into exactly `room` bytes. */
enum tutti_unpacked tutti_unpack_block(
    enum tutti_block kind, const uint8_t *from, size_t count, uint8_t *to, size_t room);

/* Unpacks a whole stream into memory of its own, which the caller gives back with munmap (*length, at least one byte).
 * `*consumed` is how far into the stream it came. Nothing is allocated unless the result is TUTTI_UNPACKED. */
enum tutti_unpacked tutti_unpack_stream(
    enum tutti_stream kind, const uint8_t *from, size_t count, uint8_t **to, size_t *length, size_t *consumed);

/* The most bytes that `count` bytes pack to. */
size_t tutti_packed_bound(size_t count);

/* Packs `count` bytes by zstd into `room` bytes, at least `tutti_packed_bound(count)`; the bytes used, or 0 without memory. */
size_t tutti_pack_block(const uint8_t *from, size_t count, uint8_t *to, size_t room);

/* The CRC-32 of zlib and gzip, which pages of Parquet may carry. */
uint32_t tutti_crc32(const uint8_t *from, size_t count);

#endif
