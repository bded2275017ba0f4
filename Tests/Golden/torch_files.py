#!/usr/bin/env python3
"""Torch checkpoints of every kind that Formats/TorchTensors.swift reads or refuses, with what torch reads from them.

Pinned: torch 2.15, safetensors 0.8 (Python 3.11).
Run:    python Tests/Golden/torch_files.py      (writes Tests/Golden/torch/, about 300 KB; needs Tests/Golden/models)
"""
import json
import os
import sys

sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from safetensors.torch import load_file, save_file

GOLDEN = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(GOLDEN, "torch")
os.makedirs(OUT, exist_ok=True)


def place(name):
    return os.path.join(OUT, name)


class Call:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def kinds():
    torch.manual_seed(3)
    base = torch.randn(6, 5)
    state = torch.nn.Linear(4, 3).state_dict()  # an OrderedDict with _metadata
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
                  torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        state[str(dtype)] = (torch.randn(2, 3) * 50).abs().to(dtype)
    state["bool"] = torch.tensor([True, False, True])
    state["base"], state["tied"], state["row"] = base, base, base[2]
    state["transposed"], state["columns"] = base.T, base[:, 1:4]
    state["permuted"] = torch.randn(2, 3, 4).permute(2, 0, 1)
    state["scalar"], state["empty"] = torch.tensor(1.5), torch.zeros(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.randn(3))
    return state


def main():
    state = kinds()
    torch.save(state, place("kinds.bin"))
    read = torch.load(place("kinds.bin"), weights_only=True)
    assert all(torch.equal(read[n], t) for n, t in state.items())
    save_file({n: t.detach().clone().contiguous() for n, t in read.items()}, place("kinds.safetensors"))

    small = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    torch.save({"epoch": 3, "args": {"lr": 0.1, "name": "x", "steps": [1, 2]}, "state_dict": small}, place("nested.bin"))
    torch.save(small | {"c": small["a"].T}, place("legacy.bin"), _use_new_zipfile_serialization=False)
    torch.save({"a": torch.ones(2).to(torch.float8_e4m3fn)}, place("float8.bin"))
    torch.save({"a": torch.ones(2), "b": Call(os.system, "true")}, place("function.bin"))
    torch.save({"a": torch.ones(2, 2).to_sparse()}, place("sparse.bin"))
    torch.save({"a": torch.ones(1).expand(1000)}, place("expanded.bin"))
    torch.save({"a": torch.ones(2)}, place("protocol-4.bin"), pickle_protocol=4)
    torch.save([torch.ones(2)], place("list.bin"))

    # The tiny BERT of Golden/models as a masked language model's checkpoint: prefixed names, old LayerNorm names, a
    # head with a tied table, a pooler; the same in two shards, without the prefix.
    weights = load_file(os.path.join(GOLDEN, "models", "bert-plain", "model.safetensors"))
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
           for n, t in weights.items()}
    model = {"bert." + n: t for n, t in old.items()}
    model["cls.predictions.decoder.weight"] = model["bert.embeddings.word_embeddings.weight"]
    model["cls.predictions.bias"] = torch.zeros(len(model["cls.predictions.decoder.weight"]))
    torch.save(model, place("bert.bin"))
    names = sorted(weights)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, own in shards.items():
        torch.save({n: weights[n] for n in own}, place(file))
    with open(place("pytorch_model.bin.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": {n: file for file, own in shards.items() for n in own}}, f, indent=1)
    torch.save(load_file(os.path.join(GOLDEN, "models", "bert-dense", "2_Dense", "model.safetensors")), place("dense.bin"))


if __name__ == "__main__":
    main()
