"""Goldens of the tokenizers: python Tests/Golden/tokenizers.py   (tokenizers 0.23.3)

Writes below Tests/Golden/tokenizers/ three model folders with small vocabularies of our own (cased, uncased, mpnet style)
and texts.jsonl, JSON lines {"class", "text", "uncased", "cased", "mpnet", "cut"} with the ids
of Hugging Face tokenizers; "cut" is the uncased ids truncated to 12.
"""

import json
import os
import random
import sys

# This file is named like the package that it asks: look for the package elsewhere.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
import tokenizers
from tokenizers import Tokenizer

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "tokenizers")
PER_CLASS = 313
random_ = random.Random(20)
WORDS = """the a of and to in is on ban band banded bandage or orc orchestra tune tuned tuning string strings play played
player voice voices note notes score scores rest rests loud soft slow fast hall stage cello viola flute oboe drum bass Tutti
Piano Forte Allegro Concert Violin cafe naive uber resume strasse""".split()
PARTS = "##s ##ed ##ing ##er ##tra ##ly ##band ##est ##or ##a ##e ##i ##o ##u ##n ##t ##é ##ß ##本 ##한 ##́ ##ا".split()
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?-'\"()[]<>/#@$+=~`^|_*&%{}\\")
OTHERS = list("éüßçñøİıΣσςαωЖж日本語中文한국각ｆｕａﬁﬂא\u05d1اب\u0301\u0308\u3099。、！「」€£©™—–“”…👩🎻🏽ﷺ\u1100\u1161\u11a8")


def vocabulary(kind):
    special = {"bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
               "mpnet": ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "[PAD]"]}[kind]
    tokens = special + LETTERS + ["##" + c for c in LETTERS[:62]] + OTHERS + WORDS + PARTS
    if kind == "mpnet":
        tokens.append("<mask>")
    return {t: i for i, t in enumerate(dict.fromkeys(tokens))}


def added(vocab, content, special=True, normalized=False, single_word=False, lstrip=False, rstrip=False):
    vocab_id = vocab.get(content, None)
    if vocab_id is None:
        vocab_id = len(vocab) + added.extra
        added.extra += 1
    return dict(id=vocab_id, content=content, single_word=single_word, lstrip=lstrip, rstrip=rstrip,
                normalized=normalized, special=special)


def model(name):
    added.extra = 0
    kind = "mpnet" if name == "mpnet" else "bert"
    v = vocabulary(kind)
    if kind == "bert":
        tokens = [added(v, t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
        tokens += [added(v, "Da Capo", special=False, normalized=True), added(v, "solo", special=False, single_word=True),
                   added(v, "<wide>", rstrip=True, lstrip=True), added(v, "solo piano", special=False)]
        post = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                           {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {t: {"id": t, "ids": [v[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}}
    else:
        tokens = [added(v, t) for t in ("<s>", "<pad>", "</s>")] + [added(v, "<unk>", normalized=True)]
        tokens += [added(v, "[UNK]"), added(v, "<mask>", lstrip=True)]
        post = {"type": "RobertaProcessing", "sep": ["</s>", v["</s>"]], "cls": ["<s>", v["<s>"]], "trim_offsets": True,
                "add_prefix_space": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": sorted(tokens, key=lambda t: t["id"]),
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": name != "cased"},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": post,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": v}}


def pick(*ranges):
    low, high = random_.choice(ranges)
    return chr(random_.randint(low, high))


CLASSES = {
    "plain": lambda: random_.choice(WORDS) + random_.choice(["", " ", "s ", "ing", ", ", "ed. "]),
    "control": lambda: pick((0, 31), (0x7F, 0x9F), (0x200B, 0x200F), (0x202A, 0x202E), (0xE000, 0xE003), (0xFEFF, 0xFEFF)),
    "cjk": lambda: pick((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2CEAF), (0xF900, 0xFAFF), (0x3040, 0x30FF)),
    "hangul": lambda: pick((0xAC00, 0xD7A3), (0x1100, 0x11FF)),
    "combining": lambda: random_.choice("aeiouAΩΣ" + "éüİ") + "".join(
        pick((0x300, 0x36F), (0x591, 0x5C7), (0x1D165, 0x1D172), (0x302A, 0x302F), (0x94D, 0x94D))
        for _ in range(random_.randint(0, 4))),
    "emoji": lambda: random_.choice(["👩‍👩‍👧", "👩🏽‍🎻", "🏴‍☠️", "❤️", "🇩🇪", "🎻", "\u200d", "\ufe0f"]),
    "fullwidth": lambda: pick((0xFF01, 0xFF5E), (0xFF61, 0xFF9F), (0x3000, 0x3002)),
    "ligature": lambda: random_.choice("ﬁﬂﬀﬃﬄﬅæœĳǆǅßẞŉſ½①㎏ℌ") + random_.choice(["", "a"]),
    "rtl": lambda: pick((0x5D0, 0x5EA), (0x621, 0x64A), (0x64B, 0x652), (0x600, 0x605), (0x200E, 0x200F), (0xFB1D, 0xFB4F)),
    "space": lambda: random_.choice(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2000\u2009\u2028\u2029\u202f\u205f\u3000\u200b"),
    "nul": lambda: random_.choice(["\0", "\ufffd", "a\0b", "[\0SEP]", "\ufffe"]),
    "long": lambda: random_.choice("abéд本") * random_.choice([99, 100, 101, 50, 33]),
    "special": lambda: random_.choice(
        ["[SEP]", "[CLS]", "[sep]", "<s>", "</s>", "<mask>", "  <mask>  ", "<MASK>", "<unk>", "[UNK]", "[UN", "[PAD]", "da capo",
         "DA  CAPO", "Da Capo", "solo", "solos", "_solo", "solo piano", " <wide>  ", "\u3000<wide>\n", "[[SEP]]"]),
    "any": lambda: chr(random_.choice([c for c in (random_.randint(0, 0x10FFFF) for _ in range(9)) if not 0xD800 <= c < 0xE000])),
    "punctuation": lambda: pick((33, 47), (58, 64), (91, 96), (123, 126), (0xA1, 0xBF), (0x2010, 0x2027), (0x20A0, 0x20AC)),
}


def texts():
    for name, draw in CLASSES.items():
        for number in range(PER_CLASS):
            if name == "long" and number % 95 == 0:
                yield name, {0: "a" * 10000, 95: "é" * 10000, 190: "ban" * 3334, 285: "中" * 999}[number]
                continue
            parts = []
            for _ in range(random_.randint(1, 2 if name == "long" else 6)):
                parts.append(draw())
                if random_.random() < 0.4:
                    parts.append(CLASSES["plain"]())
            yield name, "".join(parts)
    for _ in range(PER_CLASS):
        draws = random_.sample([c for c in CLASSES if c != "long"], 5)
        yield "mixed", "".join(CLASSES[d]() for d in draws for _ in range(random_.randint(1, 2)))
    yield "space", ""


def main():
    models = {}
    for name in ("uncased", "cased", "mpnet"):
        os.makedirs(os.path.join(HERE, name), exist_ok=True)
        path = os.path.join(HERE, name, "tokenizer.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(model(name), file, ensure_ascii=False, indent=None)
        models[name] = Tokenizer.from_file(path)
    cut = Tokenizer.from_file(os.path.join(HERE, "uncased", "tokenizer.json"))
    cut.enable_truncation(12)
    rows = []
    for name, text in texts():
        row = {"class": name, "text": text}
        row.update({m: t.encode(text).ids for m, t in models.items()})
        row["cut"] = cut.encode(text).ids
        rows.append(json.dumps(row, separators=(",", ":"), ensure_ascii=False))
    with open(os.path.join(HERE, "texts.jsonl"), "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    print(len(rows), "texts")


if __name__ == "__main__":
    main()
