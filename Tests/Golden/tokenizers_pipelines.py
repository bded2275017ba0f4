"""Goldens of BPE, WordLevel and all pre-tokenizers: python Tests/Golden/tokenizers_pipelines.py   (tokenizers 0.23.3)

Writes below Tests/Golden/tokenizer-pipelines/ a tokenizer.json for each kind of BPE and WordLevel pipeline, with small
vocabularies trained here on our own texts; extra.json, more texts than those of Tests/Golden/tokenizers/texts.jsonl; and
ids.json: digests of the reference's ids, one for each 8 texts (the texts of texts.jsonl, then those of extra.json).

The pipelines "pre-..." have one pre-tokenizer each over a vocabulary of bytes whose words end in "</w>", so that the ids show
every place where words are cut.
"""

import copy
import json
import os
import random
import sys

sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
GOLDEN = os.path.dirname(os.path.realpath(__file__))
HERE = os.path.join(GOLDEN, "tokenizer-pipelines")
GROUP = 8
draw = random.Random(11)

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
START, BLANKS = r"[^\r\n\p{L}\p{N}]?", r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def cl100k(number, letters=r"\p{L}", taken=r"\p{L}\p{N}"):
    return f"{CONTRACTIONS}|{START}{letters}+|{number}" + rf"| ?[^\s{taken}]+[\r\n]*|" + BLANKS


def o200k(number, end=CONTRACTIONS + "?"):
    return (f"{START}{UPPER}*{LOWER}+{end}|{START}{UPPER}+{LOWER}*{end}|{number}" + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + BLANKS)


LLAMA3, QWEN2 = cl100k(r"\p{N}{1,3}"), cl100k(r"\p{N}")
QWEN35 = cl100k(r"\p{N}", r"[\p{L}\p{M}]", r"\p{L}\p{M}\p{N}")
O200K, TEKKEN = o200k(r"\p{N}{1,3}"), o200k(r"\p{N}", "")
DEEPSEEK = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+"]
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = [  # what the general engine must know
    r"\w+|[^\w\s]+", r"\s{2,}|[\n\r\t]", r" {2,}", r"\d{2,3}?|\D", r"(?:ab|a)+?b?", r"[^\S\n]+", r"a*?b|.", r"(?=[A-Z])|(?<x>\d)",
    r"(\p{Lu}\p{Ll}*)|\p{P}", r"(?i)[a-m]+|'(?i:[sdmt]|ll|ve|re)", r"\b", r"\B.", r"^.|.$", r"\p{^L}+", r"\P{L}\p{L}", r"[[:alpha:]]+",
    r"[a-z&&[^aeiou]]+", r"[\w&&[^\d_]]+", r"(?m:.{3})", r"\R|\h+", r"\x41|\u00e9|\x{1F3BB}", r"\p{N}++|\s*+x?", r"[]a-]+|[^]-]", r"x{2}+|y{,2}z|{",
    r"(?!foo)\w\w\w", r"\p{Sm}|\p{Sc}|\p{Zs}+", r"a|ab|abc|", r"\A\s*|\s*\z", r"\p{Hiragana}+|\p{Katakana}+|\p{Hangul}+|\p{Thai}+",
    r"(?:a|b)*c|.", r"\e|\a|\f|\v|\t", r"[[:^space:]&&[:punct:]]",
]

TRAINING_WORDS = """the a of and to in is on ban band banded bandage or orc orchestra tune tuned tuning string strings play played
player players voice voices note notes score scores rest rests loud soft slow fast hall stage cello viola flute oboe drum bass
Tutti Piano Forte Allegro Concert Violin don't we'll they're I've it's she'd WE'LL naïve über résumé straße Ωδή музыка оркестр
音楽 交響楽 오케스트라 समूह ดนตรี موسيقى self.notes(x) i+=1 forEach camelCase HTTPServer x2 2026 3.14""".split()
BLANK = [" ", "  ", "   ", "\t", "\n", "\n\n", " \n", "\r\n", " \r\n  ", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\u200b"]
EXTRA = {
    "contraction": lambda: draw.choice(["don", "WE", "it", "x", "é", "1", "", "_"]) + draw.choice("'''’ʼ`") + draw.choice(
        ["s", "S", "t", "T", "re", "RE", "Re", "ve", "m", "M", "ll", "LL", "lL", "d", "D", "ſ", "l", "r", "st", "sé", "dj", "x", ""])
    + draw.choice(["", " "]),
    "blanks": lambda: draw.choice(BLANK) + draw.choice(["", "", "a", "1", ".", "é"]),
    "digits": lambda: "".join(draw.choice(list("0123456789") + ["½", "²", "٣", "四", "Ⅷ", "①", "𝟗", "௧"]) for _ in range(draw.randint(1, 7)))
    + draw.choice(["", " ", ",", "."]),
    "case": lambda: "".join(draw.choice(["A", "b", "ǅ", "ʰ", "ª", "中", "É", "é", "Ж", "ж", "\u0301", "ß", "א", "ⓐ", "Ⓐ"])
                            for _ in range(draw.randint(1, 6))) + draw.choice(["", " ", "'s", "1"]),
    "code": lambda: draw.choice(["if (x >= 10) {\n    return y[i];\n}\n", "def f(a, b=None):\r\n\treturn a//b  # x\n", "//\n/**/\r\n",
                                 "http://a.b/c?d=e&f=%20#g", "x != y && !z || w", "<div class=\"a\">\n\n\n</div>", "\\n\\t$1^{2}_{3}",
                                 "a_b__c-d--e...f", "\"\"\"doc\"\"\"", "++i; --j;", "🎻🎺\n🥁", "/a/b/\n/c"]),
    "marks": lambda: draw.choice(["e\u0301", "क्षि", "ก็", "ṩ", "\u0301a", "Ω\u0345", "\u20dd", "각", "👩🏽‍🎻", "א\u05b8", "\u0f77", "ﬀ"])
    + draw.choice(["", " ", "x", "9"]),
    "tokens": lambda: draw.choice(["<s>", "</s>", " <mask>  ", "<|endoftext|>", "<|end", "[SOLO]", "solo", "Solos", " solo ", "▁", "▁▁the", "<0x41>",
                                   "<unk>", "Ġ", "Ċthe", "##s", "tutti fine", "##", "</w>"]) + draw.choice(["", " ", "a"]),
    "words": lambda: draw.choice(TRAINING_WORDS) + draw.choice(["", " ", " ", ", ", ".\n"]),
}


def extra_texts():
    texts = []
    for name, piece in EXTRA.items():
        for _ in range(90):
            texts.append("".join(piece() for _ in range(draw.randint(1, 6))))
    for _ in range(80):
        texts.append("".join(draw.choice(list(EXTRA.values()))() for _ in range(12)))
    texts += ["", " ", "a" * 300, "ab" * 400 + "c", "▁" * 70, " " * 200 + "x", "the orchestra " * 60, "中" * 150, "1" * 64, "a b " * 120]
    return texts


def trained(pipeline, trainer, texts):
    pipeline.train_from_iterator(texts, trainer)
    return json.loads(pipeline.to_str())


def byte_level(normalizer, pre_tokenizer, post=None, size=700, **changes):
    pipeline = Tokenizer(models.BPE())
    if normalizer is not None:
        pipeline.normalizer = normalizer
    pipeline.pre_tokenizer = pre_tokenizer
    pipeline.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"],
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    value = trained(pipeline, trainer, CORPUS)
    value["model"].update(changes)
    value["post_processor"] = post
    add(value, "tutti fine", normalized=True)
    add(value, "solo", normalized=True, single_word=True)
    add(value, "[SOLO]", special=True, lstrip=True, rstrip=True)
    mask = next(t for t in value["added_tokens"] if t["content"] == "<mask>")
    mask["lstrip"] = True
    return value


def add(value, content, special=False, normalized=False, single_word=False, lstrip=False, rstrip=False):
    ids = [t["id"] for t in value["added_tokens"]] + list(value["model"]["vocab"].values())
    value["added_tokens"].append(dict(id=max(ids) + 1, content=content, single_word=single_word, lstrip=lstrip, rstrip=rstrip,
                                      normalized=normalized, special=special))


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def qwen_like(pattern):
    return pre_tokenizers.Sequence([split(pattern), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(value, single):
    ids = {t["content"]: t["id"] for t in value["added_tokens"]}
    pieces = [{"Sequence": {"id": "A", "type_id": 0}} if p == "$A" else {"SpecialToken": {"id": p, "type_id": 0}} for p in single]
    tokens = {p: {"id": p, "ids": [ids[p]], "tokens": [p]} for p in single if p != "$A"}
    return {"type": "TemplateProcessing", "single": pieces, "pair": pieces + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": tokens}


def character_level(size=500, **changes):
    """BPE over characters with byte tokens, as SentencePiece vocabularies are converted."""
    pipeline = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    pipeline.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    pipeline.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)],
                                  limit_alphabet=110, show_progress=False)
    value = trained(pipeline, trainer, CORPUS)
    value["added_tokens"] = [t for t in value["added_tokens"] if not t["content"].startswith("<0x")]
    value["pre_tokenizer"] = None
    value["model"].update(changes)
    return value


def affixed(size=420):
    pipeline = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    pipeline.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    pipeline.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>"], continuing_subword_prefix="##",
                                  end_of_word_suffix="</w>", limit_alphabet=60, show_progress=False)
    return trained(pipeline, trainer, CORPUS)


def pipelines():
    byte = pre_tokenizers.ByteLevel
    roberta = byte_level(None, byte(add_prefix_space=False))
    ids = roberta["model"]["vocab"]
    roberta["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", ids["</s>"]], "cls": ["<s>", ids["<s>"]],
                                 "trim_offsets": True, "add_prefix_space": False}
    yield "roberta", roberta
    spaced = byte_level(normalizers.NFKC(), byte(add_prefix_space=True), post={"type": "ByteLevel", "add_prefix_space": True,
                                                                              "trim_offsets": False, "use_regex": True})
    spaced["model"]["merges"] = [" ".join(m) for m in spaced["model"]["merges"]]
    yield "prefix-space", spaced
    llama3 = byte_level(None, qwen_like(LLAMA3), ignore_merges=True)
    llama3["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, template(llama3, ["<s>", "$A"])]}
    # a word that only ignore_merges finds, and a merge listed twice, whose last rank counts
    llama3["model"]["vocab"]["Ġxyzzy"] = max(t["id"] for t in llama3["added_tokens"]) + 1
    llama3["model"]["merges"].append(copy.deepcopy(llama3["model"]["merges"][0]))
    yield "llama3", llama3
    qwen = byte_level(normalizers.NFC(), qwen_like(QWEN2))
    qwen["post_processor"] = template(qwen, ["$A", "<|endoftext|>"])
    yield "qwen2", qwen
    yield "qwen3.5", byte_level(normalizers.NFC(), qwen_like(QWEN35), size=600)
    yield "o200k", byte_level(None, qwen_like(O200K), size=600)
    yield "tekken", byte_level(None, qwen_like(TEKKEN), size=600)
    sequence = pre_tokenizers.Sequence([split(p) for p in DEEPSEEK] + [byte(add_prefix_space=False, use_regex=False)])
    yield "deepseek", byte_level(None, sequence, size=600)
    part = byte_level(None, byte(add_prefix_space=False), size=500)
    # a byte-level vocabulary without some bytes: what needs them is dropped or unknown
    for gone in ("é", "Ã", "×", "ĩ", "a"):
        for token in [t for t in part["model"]["vocab"] if gone in t]:
            del part["model"]["vocab"][token]
    part["model"]["merges"] = [m for m in part["model"]["merges"] if all(
        t in part["model"]["vocab"] for t in (m[0], m[1], m[0] + m[1]))]
    yield "bytes-missing", part
    unknown = copy.deepcopy(part)
    unknown["model"].update(unk_token="<unk>", fuse_unk=False)
    unknown["pre_tokenizer"] = None
    unknown["normalizer"] = {"type": "ByteLevel"}
    yield "bytes-unknown", unknown
    llama2 = character_level()
    llama2["post_processor"] = template(llama2, ["<s>", "$A"])
    yield "llama2", llama2
    gemma = character_level(fuse_unk=True)
    gemma["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    gemma["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    yield "gemma", gemma
    partial = character_level(size=460, fuse_unk=False)
    for byte_token in ("<0xE4>", "<0xF0>", "<0xC3>"):  # characters with these bytes are unknown, after byte tokens too
        del partial["model"]["vocab"][byte_token]
    partial["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    yield "bytes-partial", partial
    fused = copy.deepcopy(partial)
    fused["model"].update(fuse_unk=True)
    fused["pre_tokenizer"] = {"type": "Punctuation", "behavior": "MergedWithNext"}
    yield "unknowns-fused", fused
    yield "affixes", affixed()
    words = {w: i for i, w in enumerate(["<unk>"] + list(dict.fromkeys(TRAINING_WORDS + list("abcxyz.,'!<>[]") + ["solo", "中", "é"])))}
    yield "word-level", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "UnicodeScripts"}, {"type": "Digits", "individual_digits": True},
            {"type": "Punctuation", "behavior": "Isolated"}]},
        "post_processor": None, "decoder": None, "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}}


def pre_tokenizers_alone():
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"punctuation {behavior}", {"type": "Punctuation", "behavior": behavior}
        for invert in (False, True):
            for name, pattern in (("string", {"String": "a"}), ("regex", {"Regex": r"\s+"}), ("gpt2", {"Regex": GPT2}), ("empty", {"Regex": "x*"})):
                yield f"split {name} {behavior} {invert}", {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    yield "digits", {"type": "Digits", "individual_digits": False}
    yield "single digits", {"type": "Digits", "individual_digits": True}
    yield "delimiter", {"type": "CharDelimiterSplit", "delimiter": "é"}
    for length in (1, 5):
        yield f"length {length}", {"type": "FixedLength", "length": length}
    yield "scripts", {"type": "UnicodeScripts"}
    yield "whitespace", {"type": "Whitespace"}
    yield "split whitespace", {"type": "WhitespaceSplit"}
    for prefix in (False, True):
        for regex in (False, True):
            yield f"bytes {prefix} {regex}", {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
    yield "bytes first", {"type": "Sequence", "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "MergedWithNext", "invert": False}]}
    for pattern in (LLAMA3, QWEN2, QWEN35, O200K, TEKKEN, KIMI, *DEEPSEEK, *PATTERNS):
        yield f"regex {pattern}", {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def digest(encodings):
    value = 0xCBF29CE484222325
    for ids in encodings:
        for number in [len(ids)] + ids:
            value = ((value ^ number) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value >> 32 ^ value & 0xFFFFFFFF:08x}"


def digests(tokenizer, texts):
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    return "".join(digest(ids[place:place + GROUP]) for place in range(0, len(ids), GROUP))


def main():
    os.makedirs(HERE, exist_ok=True)
    out = {"models": {}, "preTokenizers": []}
    for name, value in pipelines():
        path = os.path.join(HERE, name + ".json")
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        out["models"][name] = digests(Tokenizer.from_str(text), TEXTS)
    vocabulary = {f"<0x{b:02X}>": b for b in range(256)}
    for name, value in pre_tokenizers_alone():
        model = {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": True, "end_of_word_suffix": "</w>"}
        text = json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": value, "model": model})
        out["preTokenizers"].append({"name": name, "value": value, "digests": digests(Tokenizer.from_str(text), SHORT)})
    with open(os.path.join(HERE, "extra.json"), "w", encoding="utf-8") as file:
        json.dump(MORE, file, ensure_ascii=False, indent=0)
        file.write("\n")
    with open(os.path.join(HERE, "ids.json"), "w", encoding="utf-8") as file:
        json.dump(out, file, ensure_ascii=False, indent=0)
        file.write("\n")
    print(len(TEXTS), "texts,", len(out["models"]), "models,", len(out["preTokenizers"]), "pre-tokenizers")


MORE = extra_texts()
with open(os.path.join(GOLDEN, "tokenizers", "texts.jsonl"), encoding="utf-8") as lines:
    TEXTS = [json.loads(line)["text"] for line in lines] + MORE
SHORT = [text for text in TEXTS if len(text.encode()) <= 120][::6] + [text for text in MORE if len(text.encode()) <= 400]
CORPUS = [text for text in TEXTS if len(text) < 200] + [" ".join(TRAINING_WORDS)] * 20
main()
