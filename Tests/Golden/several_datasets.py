#!/usr/bin/env python3
"""Goldens of runs over two data sets with a loss each, one of which owns a parameter, from the reference.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, datasets 5.2.0, one thread, float32.
    python Tests/Golden/several_datasets.py        writes Tests/Golden/several-datasets/
Model and rows are those of training/bert-sgd; dropout is 0; rows are taken in file order, data sets in turns. The
second loss is the mean over rows of |anchor + offset - positive|^2 / 2; initial.safetensors holds the offset's start.
Each json file: the arguments, the logged steps, the evaluations and the offset after the last step.
"""
import json
import os
import pathlib
import sys
import tempfile

# This folder's tokenizers.py must not stand for the package.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
import torch
from datasets import Dataset
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer import losses
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import TrainerCallback

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent
SOURCE, TARGET = HERE / "training/bert-sgd", HERE / "several-datasets"
COMMON = dict(max_steps=12, per_device_train_batch_size=8, per_device_eval_batch_size=8, eval_steps=6,
              multi_dataset_batch_sampler="round_robin", prompts={"pairs": {"negative_1": "baba cede "}})
RUNS = {
    "sgd": dict(optim="sgd", optim_args="momentum=0.9", learning_rate=0.05, weight_decay=0.1, max_grad_norm=1.0),
    "adamw": dict(optim="adamw_torch", learning_rate=2e-3, weight_decay=0.1, warmup_steps=2),
    "accumulated": dict(optim="adamw_torch", learning_rate=2e-3, gradient_accumulation_steps=3),
}


class OffsetLoss(torch.nn.Module):
    def __init__(self, model, offset):
        super().__init__()
        self.model = model
        self.offset = torch.nn.Parameter(offset.clone())

    def forward(self, features, labels):
        anchor, positive = [self.model(column)["sentence_embedding"] for column in features]
        return 0.5 * (anchor + self.offset - positive).square().sum(dim=1).mean()


class Recorder(TrainerCallback):
    def __init__(self):
        self.steps, self.evaluations = [], []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.steps.append({key: logs[key] for key in ("loss", "grad_norm", "learning_rate", "epoch")})
        found = {key: value for key, value in logs.items() if key.startswith("eval_") and key.endswith("_loss")}
        if found:
            self.evaluations.append({"step": state.global_step, **found})


def sequential(dataset, batch_size, drop_last, **_):
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def main():
    rows = [json.loads(line) for line in open(SOURCE / "rows.jsonl")]
    tables = {
        "triplets": Dataset.from_list([{key: row[key] for key in ("anchor", "positive", "negative_1")} for row in rows]),
        "pairs": Dataset.from_list([{key: row[key] for key in ("negative_1", "anchor")} for row in rows[20:]]),
    }
    torch.manual_seed(5)
    offset = 0.3 * torch.randn(32)
    TARGET.mkdir(exist_ok=True)
    save_file({"offset": offset}, str(TARGET / "initial.safetensors"))
    for name, options in RUNS.items():
        model = SentenceTransformer(str(SOURCE / "model"), device="cpu")
        own = OffsetLoss(model, offset)
        recorder = Recorder()
        with tempfile.TemporaryDirectory() as output:
            args = SentenceTransformerTrainingArguments(
                output_dir=output, batch_sampler=sequential, logging_steps=1, save_strategy="no", eval_strategy="steps",
                use_cpu=True, disable_tqdm=True, report_to="none", **{**COMMON, **options})
            trainer = SentenceTransformerTrainer(
                model=model, args=args, train_dataset=tables, eval_dataset=tables, callbacks=[recorder],
                loss={"triplets": losses.MultipleNegativesRankingLoss(model), "pairs": own})
            trainer.train()
        with open(TARGET / f"{name}.json", "w") as file:
            json.dump({"args": {**COMMON, **options}, "steps": recorder.steps, "evaluations": recorder.evaluations,
                       "offset": own.offset.tolist()}, file, indent=1)
            file.write("\n")
        print(name, [round(step["loss"], 4) for step in recorder.steps], (own.offset - offset).norm().item())


main()
