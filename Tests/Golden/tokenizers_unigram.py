"""Goldens of Unigram tokenizers: python Tests/Golden/tokenizers_unigram.py   (tokenizers 0.23.3, sentencepiece 0.2.3)

Writes below Tests/Golden/unigram/: texts.jsonl, lines {"class", "text"} for what is hard about Unigram, and for each tokenizer
NAME/tokenizer.json and NAME/ids.txt. A line of ids.txt belongs to a text, first those of tokenizers/texts.jsonl, then those of
unigram/texts.jsonl: the number of ids and the first 8 digits of the SHA-256 of the ids as 32-bit little-endian numbers.
"""

import base64
import hashlib
import json
import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != HERE] + [HERE]
import sentencepiece_models as source
import tokenizers
from tokenizers import Tokenizer

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
OUT = os.path.join(HERE, "unigram")
PER_CLASS = 150
random_ = random.Random(30)
SPACE = "\u2581"
INDIC = "कखग\u094d\u093c\u200d\u0903\u093f\u0300অ\u09cd\u09bcക\u0d4d\u0d3e"


def pick(text):
    return random_.choice(text)


def run(text, low, high):
    return "".join(pick(text) for _ in range(random_.randint(low, high)))


CLASSES = {
    "charsmap": lambda: pick(source.COMPATIBLE + source.COMPOSED + source.DROPPED + source.BLANK) + pick(["", "a", "\u0301"]),
    "accents": lambda: pick("eaonuAſﬁ½가क\u3000") + run("\u0301\u0300\u0308\u0323\u200d\ufe0f\u0e33", 0, 3),
    "indic": lambda: run(INDIC, 1, 5),
    "hangul": lambda: run("\u1100\u1161\u11a8가각\ua960\ud7b0\ud7cb\u0300", 1, 4),
    "joined": lambda: run(["👩", "❤", "©", "\u200d", "\ufe0f", "🏽", "🇩", "🇪", "\u0600", "\u110bd", "\r", "\n", "\u0301"], 1, 5),
    "underline": lambda: pick([SPACE, SPACE * 2, " ", "  ", "   ", SPACE + " ", " " + SPACE, "a", "band", "\u00a0", "\n"]),
    "unknown": lambda: run("ꙮ𓀀\u0378\U000e0101ꓸ𝕏", 1, 3) + pick(["", " ", "note", "é"]),
    "ties": lambda: run("ab", 1, 12) + pick(["", " ", "c"]),
    "quotes": lambda: pick(["``", "''", "`", "'", "```", "'''", '"', "``''"]) + pick(["", "a", " "]),
    "case": lambda: pick(["ΟΔΟΣ", "İ", "ß", "ẞ", "ǅ", "Ⅷ", "\U00010400", "K", "Å", "ÉCOLE", "Ça"]) + pick(["", " "]),
    "pieces": lambda: pick(["<unk>", "<s>", "</s>", "<pad>", "<mask>", " <mask> ", "[MASK]", "<extra_id_0>", "<0x41>", "<0xC3>", "solo"]),
    "breaks": lambda: pick(["\n", "\r\n", "\t", "\n\n", " \n ", "\u2028", "\x85", "\x0b"]) + pick(["", "a", "tune"]),
}


def texts():
    for name, draw in CLASSES.items():
        for _ in range(PER_CLASS):
            parts = []
            for _ in range(random_.randint(1, 6)):
                parts.append(draw())
                if random_.random() < 0.4:
                    parts.append(source.words.CLASSES["plain"]())
            yield name, "".join(parts)


def precompiled(proto):
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()}


def sequence(kind, *parts):
    return {"type": "Sequence", {"n": "normalizers", "p": "pretokenizers"}[kind]: list(parts)}


def metaspace(scheme="always", split=True):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def added(content, id, special=True, **flags):
    base = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    return {"id": id, "content": content, **base, **flags}


def template(ids, *parts):
    single = [{"Sequence": {"id": "A", "type_id": 0}} if p == "A" else {"SpecialToken": {"id": p, "type_id": 0}} for p in parts]
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {p: {"id": p, "ids": [ids[p]], "tokens": [p]} for p in parts if p != "A"}}


def document(vocab, unknown, normalizer, pre_tokenizer, post=None, tokens=(), byte_fallback=None):
    ids = {piece: place for place, (piece, _) in enumerate(vocab)}
    model = {"type": "Unigram", "unk_id": unknown, "vocab": vocab}
    if byte_fallback is not None:
        model["byte_fallback"] = byte_fallback
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens), "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": template(ids, *post) if post else None, "decoder": None, "model": model}


def documents():
    split = sequence("p", {"type": "WhitespaceSplit"}, metaspace())
    proto = source.model(1, 420)
    vocab = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]] + source.pairs(proto)[3:] + [["<mask>", 0.0]]
    tokens = [added(t, i) for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>"])] + [added("<mask>", len(vocab) - 1, lstrip=True)]
    yield "xlm-roberta", document(vocab, 3, precompiled(proto), split, ["<s>", "A", "</s>"], tokens)
    yield "older", document(vocab, 3, sequence("n", precompiled(proto), replace(" {2,}", SPACE, "Regex")), metaspace(),
                            ["<s>", "A", "</s>"], tokens)

    proto = source.model(2, 380, pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]", eos_piece="[SEP]",
                         user_defined_symbols=["[MASK]"])
    tokens = [added(p.piece, i) for i, p in enumerate(proto.pieces[:5])]
    yield "albert", document(
        source.pairs(proto), 1, sequence("n", replace("``", '"'), replace("''", '"'), {"type": "NFKD"}, {"type": "StripAccents"},
                                         {"type": "Lowercase"}, precompiled(proto)), split, ["[CLS]", "A", "[SEP]"], tokens)

    proto = source.model(3, 400, rule="identity", unk_piece="[UNK]", bos_piece="[CLS]", eos_piece="[SEP]")
    vocab = source.pairs(proto)
    tokens = [added("[CLS]", 1), added("[SEP]", 2), added("[UNK]", 0), added("[MASK]", len(vocab)),
              added("solo", len(vocab) + 1, special=False, normalized=True)]
    yield "deberta-v2", document(
        vocab, 0, sequence("n", replace(r"\s{2,}|[\n\r\t]", " ", "Regex"), {"type": "NFC"},
                           {"type": "Strip", "strip_left": False, "strip_right": True}),
        sequence("p", metaspace()), ["[CLS]", "A", "[SEP]"], tokens)

    proto = source.model(4, 360, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    vocab = source.pairs(proto) + [[f"<extra_id_{i}>", 0.0] for i in range(9, -1, -1)]
    tokens = [added(vocab[i][0], i) for i in [0, 1, 2, *range(len(vocab) - 10, len(vocab))]]
    yield "t5", document(vocab, 2, precompiled(proto), split, ["A", "</s>"], tokens)

    proto = source.model(5, 700, rule="identity", byte_fallback=True)
    tokens = [added(p.piece, i) for i, p in enumerate(proto.pieces[:3])]
    yield "byte-fallback", document(source.pairs(proto), 0, sequence("n", {"type": "Nmt"}, {"type": "NFKC"}), metaspace("first"),
                                    None, tokens, True)

    # Ties, a piece given twice, an empty one, positive scores, byte tokens of which some are missing, the unknown as a piece.
    by_hand = [["<unk>", -3.0], ["a", -1.0], ["aa", -2.0], ["aaa", -3.0], ["b", -1.0], ["ab", -2.0], ["ba", -1.5], ["c", 0.5],
               ["ab", -2.5], ["", 1.0], [SPACE, -1.0], [SPACE + "a", -2.0], ["é", -2.0], ["e\u0301", -1.0], ["ꙮꙮ", -9.0],
               ["<0xF0>", -7.0], ["<0x9D>", -7.0], ["<0x95>", -7.0], ["<0x8F>", -7.0], ["note", -4.25], ["no", -2.125],
               ["te", -2.125], ["t", -4.0], ["<s>", 0.0]]
    yield "by-hand", document(by_hand, 0, sequence("n", {"type": "NFD"}, {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)),
                              metaspace("never", False), None, [added("<s>", 23)], True)


def main():
    os.makedirs(OUT, exist_ok=True)
    rows = list(texts())
    with open(os.path.join(OUT, "texts.jsonl"), "w", encoding="utf-8") as file:
        for name, text in rows:
            file.write(json.dumps({"class": name, "text": text}, separators=(",", ":"), ensure_ascii=False) + "\n")
    with open(os.path.join(HERE, "tokenizers", "texts.jsonl"), encoding="utf-8") as file:
        everything = [json.loads(line)["text"] for line in file] + [text for _, text in rows]
    for name, contents in documents():
        os.makedirs(os.path.join(OUT, name), exist_ok=True)
        path = os.path.join(OUT, name, "tokenizer.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(contents, file, ensure_ascii=False)
        tokenizer = Tokenizer.from_file(path)
        lines, tokens, unknown = [], 0, 0
        for text in everything:
            ids = tokenizer.encode(text).ids
            tokens += len(ids)
            unknown += ids.count(contents["model"]["unk_id"])
            lines.append(f"{len(ids)} {hashlib.sha256(struct.pack(f'<{len(ids)}i', *ids)).hexdigest()[:8]}\n")
        with open(os.path.join(OUT, name, "ids.txt"), "w") as file:
            file.writelines(lines)
        print(f"{name}: {len(contents['model']['vocab'])} pieces, {len(lines)} texts, {tokens} ids, {unknown} unknown")


main()
