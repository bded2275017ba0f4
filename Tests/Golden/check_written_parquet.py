"""Reads the Parquet files of ParquetWriterTests with the readers of the field: python check_written_parquet.py FOLDER

Beside each NAME.parquet is NAME.json: text, embedding (bits of the floats, row after row), uint8, width.
"""

import json
import pathlib
import sys

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([
    ("text", pa.string()), ("embedding", pa.list_(pa.float32())), ("int8", pa.list_(pa.int8())),
    ("uint8", pa.list_(pa.uint8())),
])


def check(path):
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    width, texts = expected["width"], expected["text"]
    floats = np.array(expected["embedding"], dtype=np.uint32).reshape(len(texts), width)
    unsigned = np.array(expected["uint8"], dtype=np.uint8).reshape(len(texts), width)

    def same(reader, columns):
        assert list(columns["text"]) == texts, f"{path}: {reader} reads other texts"
        for name, dtype, wanted in [
            ("embedding", np.float32, floats), ("int8", np.int8, unsigned.view(np.int8)), ("uint8", np.uint8, unsigned)
        ]:
            rows = [np.asarray(row, dtype=dtype) for row in columns[name]]
            found = np.stack(rows) if rows else np.zeros((0, width), dtype)
            found = found.view(np.uint32) if dtype == np.float32 else found
            assert np.array_equal(found, wanted), f"{path}: {reader} reads other values in {name}"

    file = pq.ParquetFile(path, page_checksum_verification=True)
    # The field of a list has the name that pyarrow writes: element.
    assert file.schema_arrow.equals(SCHEMA), f"{path}: pyarrow sees {file.schema_arrow}"
    own = pa.BufferOutputStream()
    pq.write_table(SCHEMA.empty_table(), own)
    theirs = pq.ParquetFile(pa.BufferReader(own.getvalue())).schema
    assert file.schema.equals(theirs), f"{path}: schema {file.schema}, pyarrow's {theirs}"
    same("pyarrow", file.read().to_pydict())
    frame = pl.read_parquet(path)
    assert frame.schema["embedding"] == pl.List(pl.Float32) and frame.schema["text"] == pl.String
    assert frame.schema["int8"] == pl.List(pl.Int8) and frame.schema["uint8"] == pl.List(pl.UInt8)
    same("polars", frame.to_dict(as_series=False))
    relation = duckdb.read_parquet(str(path))
    assert [str(kind) for kind in relation.types] == ["VARCHAR", "FLOAT[]", "TINYINT[]", "UTINYINT[]"], relation.types
    rows = relation.fetchall()
    same("duckdb", {name: [row[place] for row in rows] for place, name in enumerate(relation.columns)})
    same("pandas", pd.read_parquet(path))
    if texts:
        same("fastparquet", fastparquet.ParquetFile(str(path)).to_pandas())


files = sorted(pathlib.Path(sys.argv[1]).glob("*.parquet"))
assert files, "no files"
for file in files:
    check(file)
print(f"{len(files)} files: pyarrow, polars, duckdb, pandas and fastparquet read them")
