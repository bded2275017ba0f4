"""Reads model cards that Tutti wrote as model hubs do, for the tests that launch/test --real switches on.

Pinned: huggingface_hub of sentence-transformers 6.2.0, no network.
Run:    python Tests/Golden/check_cards.py FOLDER
FOLDER/<name>/README.md is a card, FOLDER/<name>/metadata.json what its YAML must say but for "widget" and the digits of
values; of every result there must be one that the hub's library finds, and can write again.
"""
import json
import math
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index


def equal(found, wanted):
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=1e-4, abs_tol=2e-4)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return list(found) == list(wanted) and all(equal(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(equal, found, wanted))
    return found == wanted


def main():
    cards = sorted(pathlib.Path(sys.argv[1]).glob("*/README.md"))
    for path in cards:
        card = ModelCard.load(path)
        found = card.data.to_dict()
        wanted = json.loads((path.parent / "metadata.json").read_text(encoding="utf-8"))
        found.pop("datasets", None)  # the reference, which asked no hub, does not know whether the ids are right
        examples = found.pop("widget", [])
        assert len(examples) == wanted.pop("widget", 0), f"{path}: {len(examples)} examples"
        assert all(len(example["sentences"]) >= 3 for example in examples), f"{path}: {examples}"
        assert set(found) == set(wanted), f"{path}: {list(found)}"
        for key in wanted:
            assert equal(found[key], wanted[key]), f"{path}: {key}: {found[key]} instead of {wanted[key]}"
        if "model-index" in wanted:
            again = eval_results_to_model_index(card.data.model_name, card.data.eval_results)
            assert equal(again, found["model-index"]), f"{path}: {again}"
        print(f"{path.parent.name}: {len(found)} keys, {len(card.data.eval_results or [])} results")
    assert cards, "no cards"


if __name__ == "__main__":
    main()
