"""The reference's embeddings of real models, for the test that TUTTI_REAL_MODELS switches on.

Pinned: sentence-transformers 6.2.0, transformers 5.23.0, torch 2.15.0 (Python 3.11).
Run:    python Tests/Golden/real_embeddings.py OUTPUT_FOLDER minilm=PATH mpnet=PATH
Writes OUTPUT_FOLDER/cases.json and one safetensors file a model; nothing goes into the repository.
200 texts of 1 token to past the model's limit, shuffled, are made here from a list of words.
"""
import json
import os
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

WORDS = (
    "river stone bird lantern quiet harbour winter letter copper window garden measure distant engine careful paper "
    "mountain signal children kitchen thunder market silver morning question answer language number machine forest "
    "Zürich naïve CAFÉ 2026 3.14 e-mail don't 日本 улица ₤5 😀 (brackets) \"quoted\" semi;colon"
).split()


def main():
    torch.set_num_threads(1)
    folder, models = sys.argv[1], dict(a.split("=", 1) for a in sys.argv[2:])
    os.makedirs(folder, exist_ok=True)
    cases = {}
    for name, path in models.items():
        model = SentenceTransformer(path, device="cpu")
        rng = random.Random(20)
        lengths = [1 + (model.max_seq_length + 60) * i // 199 for i in range(200)]
        texts = [" ".join(rng.choice(WORDS) for _ in range(n)) for n in lengths]
        rng.shuffle(texts)
        embeddings = model.encode(texts, batch_size=16, convert_to_tensor=True).float().contiguous()
        save_file({"embeddings": embeddings}, os.path.join(folder, f"{name}.safetensors"))
        cases[name] = {"texts": texts}
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as f:
        json.dump(cases, f)


if __name__ == "__main__":
    main()
