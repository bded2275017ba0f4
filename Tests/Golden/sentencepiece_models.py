"""Tiny SentencePiece models and charsmaps of our own, for tokenizers_unigram.py and tokenizer_classes_unigram.py.

Needs the Python package sentencepiece (0.2.3). The text is drawn at random from our own words, so the models say nothing.
"""

import importlib.util
import io
import os
import random
import sys
import tempfile
import unicodedata

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != HERE]
import sentencepiece
from sentencepiece import sentencepiece_model_pb2


def sibling(name):
    """A generator of this folder as a module, whatever package has its name."""
    spec = importlib.util.spec_from_file_location("golden_" + name, os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


words = sibling("tokenizers")
# Compatibility characters, what some letters compose to, white space, and what nmt_nfkc drops.
COMPATIBLE = list("ﬁﬂﬀﬃĳǆſ½①㎏ℌ…™ªº²³¼ﬅﷺﷲｱｶﾞﾟﾊＡＺａｚ０９！？～　\u00a0\u2003\u0e33\u0eb3ℵ㋿ｶﾞ豈") + ["\u1fc1", "\u2126", "\u212b"]
COMPOSED = list("éèêëáàâäóòôöúùûüíìîïñçãõåøÉÈÑÇşšžŠŽřěůőűỹấầẩẫậがぎぐばぱ각갂") + ["\u0929", "\u09cb", "\u0958"]
DROPPED = [chr(c) for c in [*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F, 0x200D]]
BLANK = list("\t\n\r\u1680\u200b\u200e\u2028\u2029\ufeff")


def rules():
    """Rules in sentencepiece's format: code points to code points."""
    out = {}
    for c in COMPATIBLE:
        out[c] = unicodedata.normalize("NFKC", c)
    for c in COMPOSED:
        for form in (unicodedata.normalize("NFD", c), c):
            if unicodedata.normalize("NFC", form) != form:
                out[form] = unicodedata.normalize("NFC", form)
    out["ｶﾞ"] = "ガ"
    out.update({c: "" for c in DROPPED})
    out.update({c: " " for c in BLANK})
    points = lambda text: " ".join(f"{ord(c):X}" for c in text)
    return "".join(f"{points(source)}\t{points(target)}\n" for source, target in sorted(out.items()) if source != target)


def sentences(seed, count=1200):
    draw = random.Random(seed)
    words.random_.seed(seed)
    names = [name for name in words.CLASSES if name not in ("long", "control", "nul", "any")]
    for _ in range(count):
        parts = []
        for _ in range(draw.randint(2, 9)):
            word = draw.choice(words.WORDS) + draw.choice(["", "", "s", "ing", "ed", "er", ", and", "."])
            parts.append(word if draw.random() < 0.6 else words.CLASSES[draw.choice(names)]())
        text = " ".join(parts).replace("\0", "").replace("\u2581", "")
        if text.strip():
            yield text


def model(seed, size, rule=None, **options):
    """A trained model as a ModelProto; `rule`: a normalization rule of sentencepiece, else our own."""
    with tempfile.TemporaryDirectory() as folder:
        tsv = os.path.join(folder, "rules.tsv")
        with open(tsv, "w") as file:
            file.write(rules())
        if rule:
            options["normalization_rule_name"] = rule
        else:
            options["normalization_rule_tsv"] = tsv
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(seed), model_writer=out, vocab_size=size, num_threads=1, character_coverage=0.98,
            minloglevel=2, hard_vocab_limit=False, **options)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(out.getvalue())
        return proto


def pairs(proto):
    return [[piece.piece, piece.score] for piece in proto.pieces]
