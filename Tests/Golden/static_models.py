#!/usr/bin/env python3
"""Static embedding models as folders of both layouts and of model2vec, and a Dense with a residual, with the reference's
embeddings, for ModelsTests.

Pinned: sentence-transformers 6.2.0, torch 2.15, safetensors 0.8 (Python 3.11).
Run:    python Tests/Golden/static_models.py     (writes Tests/Golden/static-models/, about 150 KB)
The vocabulary and the texts are those of models.py; weights are random.
"""
import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from tokenizers import Tokenizer

GOLDEN = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(GOLDEN, "static-models")
TEXTS = json.load(open(os.path.join(GOLDEN, "models", "texts.json"), encoding="utf-8"))


def tokenizer():
    return Tokenizer.from_file(os.path.join(GOLDEN, "models", "bert-plain", "tokenizer.json"))


def modules_file(folder, path="", *more):
    types = [("StaticEmbedding", path)] + [(name, f"{i + 1}_{name}") for i, name in enumerate(more)]
    with open(os.path.join(folder, "modules.json"), "w") as f:
        json.dump([{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + t}
                   for i, (t, p) in enumerate(types)], f, indent=2)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    golden = {}

    def record(name):
        model = SentenceTransformer(os.path.join(OUT, name), device="cpu").float()  # Tutti computes in float32
        golden[name] = model.encode(TEXTS, convert_to_tensor=True).float().contiguous()

    raw = tokenizer()
    table = torch.randn(raw.get_vocab_size(), 20)
    saved = {
        "root": [StaticEmbedding(raw, embedding_weights=table), Normalize()],
        "dense": [StaticEmbedding(raw, embedding_weights=table),
                  Dense(20, 12, use_residual=True), Dense(12, 12, use_residual=True)],
    }
    for name, parts in saved.items():
        SentenceTransformer(modules=parts, device="cpu").save_pretrained(
            os.path.join(OUT, name), create_model_card=False)
        record(name)

    # The older layout, cut at 5 tokens by tokenizer.json, as half precision.
    old = os.path.join(OUT, "older", "0_StaticEmbedding")
    os.makedirs(old)
    modules_file(os.path.dirname(old), "0_StaticEmbedding")
    short = tokenizer()
    short.enable_truncation(5)
    short.enable_padding()
    short.save(os.path.join(old, "tokenizer.json"))
    save_file({"embedding.weight": table.half()}, os.path.join(old, "model.safetensors"))
    record("older")

    # model2vec: rows shared by tokens, and a factor a token.
    folded = os.path.join(OUT, "model2vec")
    os.makedirs(folded)
    modules_file(folded, "", "Normalize")
    raw.save(os.path.join(folded, "tokenizer.json"))
    with open(os.path.join(folded, "config.json"), "w") as f:
        json.dump({"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}, f)
    size = raw.get_vocab_size()
    save_file({"embeddings": torch.randn(40, 16).half(), "mapping": torch.randint(0, 40, (size,)),
               "weights": torch.rand(size, dtype=torch.float64)}, os.path.join(folded, "model.safetensors"))
    record("model2vec")

    # Only one copy of the tokenizer is kept: the tests put it back.
    for name in ("root", "dense", "model2vec"):
        os.remove(os.path.join(OUT, name, "tokenizer.json"))
    raw.save(os.path.join(OUT, "tokenizer.json"))
    save_file(golden, os.path.join(OUT, "embeddings.safetensors"))


if __name__ == "__main__":
    main()
