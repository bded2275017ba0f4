"""Parquet and Arrow files as their common writers make them, for ColumnarFileTests.

    python Tests/Golden/columnar_files.py            writes the few that are committed, Tests/Golden/columnar/
    python Tests/Golden/columnar_files.py FOLDER     writes the whole product of tables, writers and settings (launch/test --real)

TABLE~VARIANT.parquet (or .arrow) holds the rows of TABLE.expect.jsonl, one list of cells a line, null for absent ones. Made with
pyarrow==26.0.1, polars==2.1.0, duckdb==2.0.1, fastparquet==2026.9.0, pandas==3.1.1, datasets==5.2.0,
zstandard==0.25.0.
"""

import datetime
import decimal
import itertools
import json
import os
import random
import shutil
import sys

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

here = os.path.dirname(os.path.abspath(__file__))
everything = len(sys.argv) > 1
folder = sys.argv[1] if everything else os.path.join(here, "columnar")
os.makedirs(folder, exist_ok=True)
rng = random.Random(20261126)
words = "tempo allegro caf\u00e9 \u4f60\u597d quartet \U0001f3bb viola presto largo na\u00efve".split()


def text(longest=8):
    return " ".join(rng.choice(words) for _ in range(rng.randrange(longest)))


def perhaps(value, share=0.2):
    return None if rng.random() < share else value


def texts(rows):
    return pa.table({
        "anchor": pa.array([text() for _ in range(rows)], pa.string()),
        "positive": pa.array([perhaps(text(30)) for _ in range(rows)], pa.string()),
        "label": pa.array([rng.randrange(5) for _ in range(rows)], pa.int64()),
        "score": pa.array([rng.random() for _ in range(rows)], pa.float64()),
        "flag": pa.array([perhaps(rng.random() < 0.5) for _ in range(rows)], pa.bool_()),
    })


def numbers(rows):
    columns = {}
    for bits in (8, 16, 32, 64):
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        columns[f"i{bits}"] = pa.array([perhaps(rng.choice([low, high, rng.randint(low, high)])) for _ in range(rows)],
                                       getattr(pa, f"int{bits}")())
        most = min((1 << bits) - 1, (1 << 63) - 1)
        columns[f"u{bits}"] = pa.array([rng.choice([0, most, rng.randint(0, most)]) for _ in range(rows)],
                                       getattr(pa, f"uint{bits}")())
    columns["f32"] = pa.array([perhaps(rng.uniform(-3, 3)) for _ in range(rows)], pa.float32())
    columns["f64"] = pa.array([rng.choice([0.0, 1e300, rng.gauss(0, 1)]) for _ in range(rows)], pa.float64())
    columns["few"] = pa.array([perhaps(rng.choice([0.25, 0.5, 0.75])) for _ in range(rows)], pa.float64())
    columns["none"] = pa.array([None] * rows, pa.int32())
    return pa.table(columns)


def lists(rows):
    def some(make, longest=5):
        return perhaps([make() for _ in range(rng.randrange(longest))])
    return pa.table({
        "query": pa.array([text() for _ in range(rows)], pa.string()),
        "pos": pa.array([[text() for _ in range(1 + rng.randrange(3))] for _ in range(rows)], pa.list_(pa.string())),
        "neg": pa.array([some(lambda: perhaps(text()), 9) for _ in range(rows)], pa.list_(pa.string())),
        "label": pa.array([[rng.uniform(-1, 1) for _ in range(4)] for _ in range(rows)], pa.list_(pa.float32())),
        "nested": pa.array([some(lambda: some(lambda: rng.randrange(9), 3), 4) for _ in range(rows)],
                           pa.list_(pa.list_(pa.int64()))),
    })


def distinct(rows):
    """Texts that all differ and share their beginnings: a dictionary that overflows, and deltas of bytes."""
    return pa.table({
        "id": pa.array(range(1 << 40, (1 << 40) + rows), pa.int64()),
        "text": pa.array([f"page {i:08d} of the score: {text(4)}" for i in range(rows)], pa.string()),
        "value": pa.array([i * 0.5 for i in range(rows)], pa.float32()),
    })


def cell(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value


def expect(name, table):
    with open(os.path.join(folder, name + ".expect.jsonl"), "w") as out:
        for row in zip(*(column.to_pylist() for column in table.columns)):
            out.write(json.dumps([cell(value) for value in row], ensure_ascii=False) + "\n")


def place(name, variant, ending="parquet"):
    return os.path.join(folder, f"{name}~{variant}.{ending}")


count = 0


def done():
    global count
    count += 1


def arrow_parquet(name, table, variant, **options):
    pq.write_table(table, place(name, "pyarrow-" + variant, "parquet"), **options)
    done()


def encodings(name, table):
    """The settings of column_encoding: every encoding on the columns that it is for."""
    by = {"strings": [], "bytes": [], "ints": [], "floats": []}
    for field in table.schema:
        path, kind = field.name, field.type
        while pa.types.is_list(kind):
            path, kind = path + ".list.element", kind.value_type
        if pa.types.is_string(kind):
            by["strings"].append(path)
        elif pa.types.is_integer(kind):
            by["ints"].append(path)
        elif pa.types.is_floating(kind):
            by["floats"].append(path)
    first, second = {}, {}
    for path in by["strings"]:
        first[path], second[path] = "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"
    for path in by["ints"]:
        first[path], second[path] = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
    for path in by["floats"]:
        first[path], second[path] = "BYTE_STREAM_SPLIT", "PLAIN"
    return {"deltas": dict(use_dictionary=False, column_encoding=first),
            "lengths": dict(use_dictionary=False, column_encoding=second)}


rows = 700 if everything else 40
tables = {"texts": texts(rows), "numbers": numbers(rows), "lists": lists(rows)}
if everything:
    tables.update({"distinct": distinct(6000), "one": texts(1), "none": texts(0)})
for name, table in tables.items():
    expect(name, table)
    ways = {"dictionary": dict(use_dictionary=True), "plain": dict(use_dictionary=False), **encodings(name, table)}
    codecs = ["none", "snappy", "gzip", "zstd", "lz4"]
    for (way, options), codec, version, page in itertools.product(ways.items(), codecs, ("1.0", "2.0"), (1 << 20, 300)):
        committed = (way, codec, version, page) in (
            ("dictionary", "snappy", "1.0", 1 << 20), ("deltas", "zstd", "2.0", 300), ("lengths", "gzip", "1.0", 300),
            ("plain", "lz4", "2.0", 1 << 20))
        if everything or committed:
            arrow_parquet(
                name, table, f"{way}-{codec}-v{version[0]}-{page}", compression=codec, data_page_version=version,
                data_page_size=page, write_batch_size=64 if page < 1000 else 1024, row_group_size=250 if page < 1000 else None,
                dictionary_pagesize_limit=400 if page < 1000 else 1 << 20, write_page_checksum=page < 1000,
                write_page_index=page < 1000, store_schema=way != "plain", **options)

# Types of pyarrow that the file keeps as others, and decimals.
for name in ("texts", "distinct") if everything else ("texts",):
    table = tables[name]
    strings = {
        "large": lambda kind: pa.large_string() if pa.types.is_string(kind) else kind,
        "dictionary": lambda kind: pa.dictionary(pa.int16(), pa.string()) if pa.types.is_string(kind) else kind,
        "view": lambda kind: pa.string_view() if pa.types.is_string(kind) else kind,
    }
    for variant, change in strings.items():
        cast = table.cast(pa.schema([(f.name, change(f.type)) for f in table.schema]))
        arrow_parquet(name, cast, variant)
        for way, options in {"stream": {}, "zstd": dict(compression="zstd"), "lz4": dict(compression="lz4")}.items():
            with pa.OSFile(place(name, f"pyarrow-{variant}-{way}", "arrow"), "wb") as sink:
                opened = pa.ipc.new_stream if way == "stream" else pa.ipc.new_file
                # A dictionary of its own for every batch is a file's privilege of streams.
                with opened(sink, cast.schema, options=pa.ipc.IpcWriteOptions(
                        unify_dictionaries=True, **options)) as writer:
                    writer.write_table(cast, max_chunksize=17)
            done()
if everything:
    odd = pa.table({
        "small": pa.array([perhaps(decimal.Decimal(rng.randrange(-999, 999)) / 100) for _ in range(90)], pa.decimal128(5, 2)),
        "large": pa.array([decimal.Decimal(rng.randrange(-10 ** 12, 10 ** 12)) / 8 for _ in range(90)], pa.decimal128(30, 3)),
        "half": pa.array([perhaps(rng.uniform(-9, 9)) for _ in range(90)], pa.float32()).cast(pa.float16()),
        "nothing": pa.array([None] * 90, pa.null()),
    })
    expect("odd", odd)
    for integers, codec in itertools.product((True, False), ("none", "zstd")):
        arrow_parquet("odd", odd, f"{codec}-{integers}", compression=codec, store_decimal_as_integer=integers)
    for codec in ("uncompressed", "lz4", "zstd"):
        feather.write_feather(odd, place("odd", "feather-" + codec, "arrow"), compression=codec, chunksize=40)
        done()
for name, table in tables.items():
    for codec in ("uncompressed", "lz4", "zstd") if everything else ("lz4",):
        feather.write_feather(table, place(name, "feather-" + codec, "arrow"), compression=codec, chunksize=23)
        done()

# Other writers.
import duckdb
import polars as pl

for name, table in tables.items():
    frame = pl.from_arrow(table)
    for codec in ("zstd", "snappy", "gzip", "lz4", "uncompressed") if everything else ("zstd",):
        frame.write_parquet(place(name, "polars-" + codec), compression=codec,
                            row_group_size=100 if codec == "snappy" else None)
        done()
    for codec in ("uncompressed", "lz4", "zstd") if everything else ("uncompressed",):
        frame.write_ipc(place(name, "polars-" + codec, "arrow"), compression=codec)
        done()
    frame.write_ipc_stream(place(name, "polars-stream", "arrow"))
    done()
    for codec, version in itertools.product(("snappy", "zstd", "gzip", "lz4_raw", "uncompressed") if everything else ("snappy",),
                                            ("v1", "v2")):
        connection = duckdb.connect()
        connection.register("source", table)
        connection.sql(f"COPY (SELECT * FROM source) TO '{place(name, f'duckdb-{codec}-{version}')}' "
                       f"(FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version})")
        connection.close()
        done()
if everything:
    import fastparquet
    for name in ("texts", "distinct"):
        frame = tables[name].to_pandas()
        frame.to_parquet(place(name, "pandas"))
        done()
        # An index that pandas stores as a column, which is none of the data set's.
        shuffled = frame.set_index(frame.index[::-1])
        shuffled.to_parquet(place(name, "pandas-index"))
        done()
    for codec in ("SNAPPY", "GZIP", "ZSTD", "UNCOMPRESSED"):
        frame = tables["distinct"].to_pandas()
        fastparquet.write(place("distinct", "fastparquet-" + codec), frame, compression=codec, row_group_offsets=1000)
        done()

# What datasets saves, and columns that a data set cannot use beside some that it can.
if everything:
    import datasets
    datasets.disable_progress_bars()
    for name in ("texts", "lists"):
        saved = os.path.join(folder, "saved-" + name)
        shutil.rmtree(saved, ignore_errors=True)
        datasets.Dataset(tables[name]).save_to_disk(saved, num_shards=3)
        datasets.Dataset(tables[name]).to_parquet(place(name, "datasets"))
        done()
mixed = pa.table({
    "when": pa.array([datetime.datetime(2026, 1, 1)] * 3, pa.timestamp("us")),
    "pair": pa.array([{"a": "x", "b": 1}] * 3, pa.struct([("a", pa.string()), ("b", pa.int8())])),
    "text": pa.array(["one", "two", "three"]),
    "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int8())),
    "bytes": pa.array([b"\xff\xfe"] * 3, pa.binary()),
    "last": pa.array([["x"], [], ["y", "z"]], pa.list_(pa.string())),
})
pq.write_table(mixed, os.path.join(folder, "mixed.parquet"))
feather.write_feather(mixed, os.path.join(folder, "mixed.feather"), compression="uncompressed")
pq.write_table(pa.table({
    "id": [1, 2], "query": ["first", "second"], "positive": [["a"], ["b", "c"]], "negative": [["x", "y"], ["z"]],
}), os.path.join(folder, "rerank.parquet"))
if everything:
    pq.write_table(tables["texts"], os.path.join(folder, "brotli.parquet"), compression="brotli")
else:
    pq.write_table(tables["texts"].slice(0, 3), os.path.join(folder, "brotli.parquet"), compression="brotli")

# Compressed text, in two members each, as `cat a.gz b.gz` makes it.
if not everything:
    import bz2
    import gzip
    import lzma

    import zstandard
    halves = ["anchor,positive,label\n\"a, 1\",caf\u00e9,0\n".encode(), b"c,\"d\n2\",1\n"]
    for ending, pack in {"gz": lambda data: gzip.compress(data, mtime=0), "bz2": bz2.compress, "xz": lzma.compress,
                         "zst": zstandard.ZstdCompressor(write_checksum=True).compress}.items():
        with open(os.path.join(folder, "rows.csv." + ending), "wb") as out:
            out.write(b"".join(pack(half) for half in halves))
print(f"{count} files in {folder}")
