#!/usr/bin/env python3
"""Goldens of frozen parameters: eight steps of tiny models of which torch's requires_grad_(False) froze a part.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread, float64.
    python freezing.py                   writes Tests/Golden/freezing/
Models and texts are those of families/. A case is a model, patterns of names, plain gradient descent with clipping over what
is trained. freezing/<case>.json holds family, patterns, arguments, losses and gradient norms of the steps;
freezing/<case>.safetensors end.<name> of every parameter that is trained.
"""
import fnmatch
import json
import pathlib
import sys

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import torch
from families import STEPS, descend
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, losses
from transformers import PreTrainedTokenizerFast

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent
CLIP = 2.0
CASES = {
    "bert-below": dict(family="bert", rate=0.05, freeze=["embeddings", "encoder.layer.0"]),
    "bert-among": dict(family="bert", rate=0.05, freeze=[
        "embeddings.word_embeddings", "*.position_embeddings", "encoder.layer.[0-9].attention.self.query",
        "encoder.layer.1.*.LayerNorm", "encoder.layer.0.intermediate.*.bias"]),
    # Before the second layer's attention there is a norm of its own, which is trained; all below it is not.
    "modernbert-below": dict(family="modernbert", rate=0.05, freeze=["embeddings", "layers.[!2]"]),
    "modernbert-among": dict(family="modernbert", rate=0.1, freeze=["layers.0.mlp", "layers.*.attn.Wqkv", "final_norm"]),
}


def matches(pattern, name):
    parts, names = pattern.split("."), name.split(".")
    return len(names) >= len(parts) and all(map(fnmatch.fnmatchcase, names, parts))


def make(name, family, rate, freeze):
    folder = HERE / "families" / family / "model"
    rows = [json.loads(line) for line in (HERE / "families/rows/pairs.jsonl").read_text().splitlines()]
    model = SentenceTransformer(str(folder), device="cpu").double()
    model[0].processor = PreTrainedTokenizerFast.from_pretrained(folder)
    transformer = model[0].model
    for pattern in freeze:
        frozen = [p for n, p in transformer.named_parameters() if matches(pattern, n)]
        assert frozen, pattern
        for p in frozen:
            p.requires_grad_(False)
    trained = {n: p for n, p in transformer.named_parameters() if p.requires_grad and "pooler" not in n}
    start = {n: p.detach().clone() for n, p in trained.items()}
    model.train()
    loss = losses.MultipleNegativesRankingLoss(model)

    def loss_of(batch):
        return loss([model.tokenize([r[c] for r in batch]) for c in ("anchor", "positive")], None)

    clip = lambda parameters: float(torch.nn.utils.clip_grad_norm_(parameters, CLIP))
    steps = descend(trained.values(), rows, rate, loss_of, clip)
    out = HERE / "freezing"
    out.mkdir(exist_ok=True)
    save_file({"end." + n: p.detach().float().contiguous() for n, p in trained.items()}, out / f"{name}.safetensors")
    size = sum(float(p.square().sum()) for p in start.values()) ** 0.5
    moved = sum(float((trained[n] - start[n]).square().sum()) for n in start) ** 0.5 / size
    expected = {"family": family, "freeze": freeze, "args": {"learning_rate": rate, "max_grad_norm": CLIP},
                "steps": steps, "movement": moved}
    (out / f"{name}.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{name:18} loss {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}, movement {moved:.4f}, "
          f"{len(trained)} tensors, clipped {sum(s['grad_norm'] > CLIP for s in steps)} of {STEPS}")


if __name__ == "__main__":
    for name, case in CASES.items():
        make(name, **case)
