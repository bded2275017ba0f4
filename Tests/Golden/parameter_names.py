#!/usr/bin/env python3
"""What the reference calls the parameters of every encoder family, and which of them weight decay applies to.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0.
    python parameter_names.py              writes Tests/Golden/families/parameters.json
By family, each name inside the transformer and whether it decays. The models are those of families/; the two whose class is
not in transformers (jina_bert) are left out.
"""
import json
import pathlib
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

from sentence_transformers import SentenceTransformer
from transformers import Trainer, TrainingArguments

HERE = pathlib.Path(__file__).resolve().parent / "families"


def parameters(folder):
    model = SentenceTransformer(str(folder), device="cpu")[0].model
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(model=model, args=TrainingArguments(output_dir=output, use_cpu=True, report_to="none"))
        decaying = set(trainer.get_decay_parameter_names(model))
    return {name: name in decaying for name, _ in model.named_parameters()}


def main():
    families = {}
    for folder in sorted(HERE.iterdir()):
        if (folder / "model").is_dir() and not folder.name.startswith("jina_bert"):
            families[folder.name] = parameters(folder / "model")
    (HERE / "parameters.json").write_text(json.dumps(families, indent=1) + "\n")


if __name__ == "__main__":
    main()
