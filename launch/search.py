#!/usr/bin/env python3
"""Answer searches with vectors from `tutti encode`: the nearest texts of a corpus by cosine.

    search.py --corpus corpus.jsonl --vectors corpus.npy --queries queries.txt --query-vectors queries.npy [--top 3]

Shows the id and the beginning of each text. Standard library only, for a few thousand texts; NumPy would do more.
"""
import argparse
import array
import ast
import json
import math
import operator
import struct
import sys
import textwrap


def read_vectors(path):
    """The rows of a .npy file (version 1 to 3, float32, C order) as arrays of unit length."""
    with open(path, "rb") as file:
        magic, major = file.read(6), file.read(2)[0]
        if magic != b"\x93NUMPY":
            sys.exit(f"search: {path}: not a .npy file")
        length = struct.unpack("<H", file.read(2))[0] if major == 1 else struct.unpack("<I", file.read(4))[0]
        header = ast.literal_eval(file.read(length).decode("latin-1" if major < 3 else "utf-8"))
        if header["descr"] != "<f4" or header["fortran_order"] or len(header["shape"]) != 2:
            sys.exit(f"search: {path}: expected a float32 matrix in C order, found {header}")
        rows, columns = header["shape"]
        values = array.array("f")
        values.fromfile(file, rows * columns)
    if sys.byteorder == "big":
        values.byteswap()
    for row in range(rows):
        vector = values[row * columns:(row + 1) * columns]
        norm = math.sqrt(sum(map(operator.mul, vector, vector))) or 1.0
        yield array.array("d", (value / norm for value in vector))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--corpus", "--vectors", "--queries", "--query-vectors"):
        parser.add_argument(name, required=True)
    parser.add_argument("--top", type=int, default=3)
    options = parser.parse_args()
    with open(options.corpus, encoding="utf-8") as file:
        corpus = [json.loads(line) for line in file]
    with open(options.queries, encoding="utf-8") as file:
        queries = [line.rstrip("\n") for line in file]
    vectors = list(read_vectors(options.vectors))
    if len(vectors) != len(corpus):
        sys.exit(f"search: {len(vectors)} vectors for {len(corpus)} texts")
    for query, wanted in zip(queries, read_vectors(options.query_vectors)):
        scores = sorted(((sum(map(operator.mul, wanted, v)), -row) for row, v in enumerate(vectors)), reverse=True)
        print(f"\n  \"{query}\"")
        for score, row in scores[:options.top]:
            entry = corpus[-row]
            print(f"    {score:.3f}  {entry['_id']:<26} {textwrap.shorten(entry['text'], 76, placeholder=' ...')}")


if __name__ == "__main__":
    main()
