"""The embeddings that the reference gives for folders that Tutti saved, for the tests that launch/test --real switches on.

Pinned: sentence-transformers 6.2.0, peft 0.21.2, transformers 5.23.0, torch 2.15.0 (Python 3.11).
Run:    python Tests/Golden/real_readers.py FOLDER
FOLDER/cases.json is a list of {name, path, texts}, and of a folder with an adapter base, the folder of its base model.
Writes FOLDER/<name>.safetensors with the embeddings of the texts, one by one since some modules see padding, and of an
adapter FOLDER/<name>-peft.safetensors with those of the base model to which peft itself adds the folder's adapter.
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from peft import PeftModel
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerFast


def load(path, tokenizer):
    model = SentenceTransformer(str(path), device="cpu")
    if tokenizer is not None:  # some model types would rebuild it
        model[0].processor = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    return model


def write(model, texts, path):
    rows = [model.encode([text], convert_to_tensor=True)[0] for text in texts]
    save_file({"embeddings": torch.stack(rows).float().contiguous()}, path)


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        base = case.get("base")
        write(load(case["path"], base), case["texts"], folder / f"{case['name']}.safetensors")
        if base is not None:
            model = load(base, base)
            model[0].model = PeftModel.from_pretrained(model[0].model, case["path"])
            write(model, case["texts"], folder / f"{case['name']}-peft.safetensors")


if __name__ == "__main__":
    main()
