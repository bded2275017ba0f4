# Goldens of the file formats, made with safetensors==0.8.0, numpy==2.4.6 and Python's json and csv:
#   python3 Tests/Golden/corpus_formats.py      writes Tests/Golden/corpus-formats/
# Everything is generated here; the seed makes the files the same on every machine.
import csv
import json
import os
import random
import struct

import numpy as np
from safetensors import TensorSpec, serialize

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus-formats")
os.makedirs(here, exist_ok=True)
rng = random.Random(20240711)


def safetensors_bytes(tensors, metadata=None):
    """tensors: name -> (type, shape, bytes)."""
    buffers = {name: np.frombuffer(data, dtype=np.uint8) for name, (_, _, data) in tensors.items()}
    specs = {
        name: TensorSpec(dtype=kind, shape=shape, data_ptr=buffers[name].ctypes.data, data_len=len(data))
        for name, (kind, shape, data) in tensors.items()
    }
    return bytes(serialize(specs, metadata=metadata))


def place(name):
    return os.path.join(here, name)


# 1. A safetensors file with every type, names that need escapes, a scalar and an empty tensor.
types = ["bool", "uint8", "int8", "int16", "uint16", "float16", "bfloat16", "int32", "uint32", "float32", "float64",
         "int64", "uint64"]
widths = [1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8]
tensors = {}
for name, width in zip(types, widths):
    for prefix, shape in (("b.", [3]), ("a.", [2, 1]), ('"\\\u00e9\x01\n', []), ("empty", [0, 4])):
        count = int(np.prod(shape)) * width
        data = bytes(rng.randrange(2 if name == "bool" else 256) for _ in range(count))
        tensors[prefix + name] = (name, shape, data)
with open(place("all-types.safetensors"), "wb") as out:
    out.write(safetensors_bytes(tensors, {"format": "pt"}))

# 2. Every kind of half and bfloat16, with the singles they stand for.
bits = np.arange(0, 65536, 7, dtype=np.uint16)
halves = bits.view(np.float16)
singles = halves.astype(np.float32)
wide = (bits.astype(np.uint32) << 16).view(np.float32)
doubles = np.array([rng.uniform(-1, 1) * 10.0 ** rng.randrange(-50, 40) for _ in range(200)])
with np.errstate(over="ignore", under="ignore"):
    narrowed = doubles.astype(np.float32)
entries = {
    "half": ("float16", bits), "half.single": ("float32", singles), "bfloat": ("bfloat16", bits),
    "bfloat.single": ("float32", wide), "double": ("float64", doubles), "double.single": ("float32", narrowed),
}
with open(place("conversions.safetensors"), "wb") as out:
    out.write(safetensors_bytes({n: (t, list(a.shape), a.tobytes()) for n, (t, a) in entries.items()}))

# 3. Python's spelling of doubles: random bits, and values around the switches of notation.
values = [struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0] for _ in range(600)]
values += [rng.uniform(-10, 10) * 10.0 ** rng.randrange(-8, 20) for _ in range(600)]
values += [round(rng.uniform(-1000, 1000), rng.randrange(6)) for _ in range(300)]
for power in range(-7, 24):
    values += [10.0 ** power, -(10.0 ** power), 9.5 * 10.0 ** power, np.nextafter(10.0 ** power, 0).item()]
values += [0.0, -0.0, 2e-5, 1e-5, 0.1, 5e-324, 1.7976931348623157e308, 2.0 ** 53, 2.0 ** 54, 2.0 ** 63]
values = [v for v in values if np.isfinite(v)]
with open(place("doubles.jsonl"), "w") as out:
    for value in values:
        out.write(json.dumps({"bits": struct.pack(">d", value).hex(), "text": repr(value), "value": value}) + "\n")

# 4. JSON texts as json.dumps spells them.
document = {
    "zeta": [1, -2.5, True, False, None, [], {}, [[]], {"b": {}, "a": [1]}],
    "text": "quote \" slash / back \\ bell \x07 tab \t line \n return \r form \f back \b delete \x7f",
    "wide": "caf\u00e9 \u4f60\u597d \U0001f469\u200d\U0001f4bb \u2028", "big": 9007199254740993, "small": -9223372036854775808,
    "\u00e9": 1, "E": 2, "e": 3, "\U0001f600": 4, "\uffff": 5,
}
with open(place("spellings.json"), "w") as out:
    json.dump({
        "document": document,
        "plain": json.dumps(document, ensure_ascii=False), "sorted": json.dumps(document, ensure_ascii=False, sort_keys=True),
        "indented": json.dumps(document, ensure_ascii=False, indent=2), "ascii": json.dumps(document, indent=4),
    }, out, indent=1)

# 5. A table with everything that CSV must quote, and the same rows as JSON lines.
pieces = ["plain", "with, comma", 'with "quotes"', "two\nlines", "carriage\rreturn", "both\r\nends", "", " blanks ", "\u4f60\u597d",
          "e\u0301", '"\u0301 quote and accent', "tab\there", "'single'", "#hash", "\\back", ",", '"', '""', "\ufeffmark"]
rows = [[rng.choice(pieces) + rng.choice(pieces), rng.choice(pieces), rng.choice(["0", "1", "0.5", "-2e-3"])] for _ in range(300)]
with open(place("table.csv"), "w", newline="", encoding="utf-8") as out:
    writer = csv.writer(out)
    writer.writerow(["anchor", "positive", "score"])
    writer.writerows(rows)
with open(place("table.jsonl"), "w", encoding="utf-8") as out:
    for row in rows:
        out.write(json.dumps({"anchor": row[0], "positive": row[1], "score": float(row[2])}, ensure_ascii=rng.random() < 0.5) + "\n")

# 6. NumPy arrays.
matrix = np.array([[rng.uniform(-5, 5) for _ in range(7)] for _ in range(11)], dtype=np.float32)
np.save(place("matrix-f4.npy"), matrix)
np.save(place("matrix-f8.npy"), matrix.astype(np.float64))
np.save(place("matrix-f2.npy"), matrix.astype(np.float16))
np.save(place("vector-f4.npy"), matrix[0])
np.save(place("fortran-f4.npy"), np.asfortranarray(matrix))
