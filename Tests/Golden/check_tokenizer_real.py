"""Writes the texts and ids that RealTokenizerTests compare: python Tests/Golden/check_tokenizer_real.py MODEL_FOLDER ...

For each model folder, writes <folder>/tutti-tokens.bin from Hugging Face tokenizers (0.23.3): per text int32 length of the UTF-8
bytes, the bytes, int32 count, int32 ids; first every code point alone and between letters, then random mixtures.
"""

import os
import random
import struct
import sys

sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
from tokenizers import Tokenizer

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
ODD = ["[SEP]", "[CLS]", "<mask>", "</s>", "[UNK]", "<unk>", "  ", "\t", "\u3000", "hello", "World", "##ing", "can't", "\0",
       "\ufffd", "e\u0301", "ΣΑΣ", "ß", "İ", "👩‍👩‍👧", "ﬁ", "한국", "日本", "\u200b", "x" * 120, "a" * 100, "é" * 101]


def texts():
    for point in POINTS:
        c = chr(point)
        yield f"{c} a{c}b z{c} {c}y"
    draw = random.Random(7)
    for _ in range(40000):
        yield "".join(draw.choice(ODD) if draw.random() < 0.5 else chr(draw.choice(POINTS)) if draw.random() < 0.3
                      else chr(draw.randint(32, 0x24F)) for _ in range(draw.randint(0, 25)))
    yield "a" * 10000


for folder in sys.argv[1:]:
    # reference.json is what the reference makes of a folder without a tokenizer.json.
    files = [os.path.join(folder, name) for name in ("reference.json", "tokenizer.json")]
    tokenizer = Tokenizer.from_file(next(file for file in files if os.path.exists(file)))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with open(os.path.join(folder, "tutti-tokens.bin"), "wb") as file:
        for text in texts():
            data, ids = text.encode(), tokenizer.encode(text).ids
            file.write(struct.pack("<i", len(data)) + data + struct.pack(f"<{len(ids) + 1}i", len(ids), *ids))
