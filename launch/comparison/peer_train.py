"""Trains with sentence-transformers from a job file, and writes the time of each step. Runs in the peer's environment,
alone or under torch.distributed.run.

    peer_train.py JOB.json       job: model, data, columns, batch, max_seq_length, max_steps, loss, arguments, threads,
                                 cores (CPU numbers), record (where this rank's record goes, with its rank appended)

A step lasts from the end of the one before it to its own end, so that collating its batch is part of it; of the first,
`began` is the moment when its batch is ready.
"""
import json
import os
import sys
import time

job = json.load(open(sys.argv[1], encoding="utf-8"))
rank, world = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
# Before torch is imported, which makes its threads: a process of several has one core to itself.
os.sched_setaffinity(0, {job["cores"][rank]} if world > 1 else set(job["cores"]))

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer import losses
from shapes import Shape
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback

torch.set_num_threads(job["threads"])


def in_file_order(dataset, batch_size, drop_last, valid_label_columns=None, generator=None, seed=0):
    """Rows in file order, as in Tutti's sequential sampler."""
    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)


def lengths_of_columns(inputs):
    """Real tokens of each text: by the attention mask, or by the offsets of an embedding bag."""
    for key, values in inputs.items():
        if key.endswith("attention_mask"):
            yield values.sum(1)
        if key.endswith("offsets"):
            ids = inputs[key.removesuffix("offsets") + "input_ids"]
            yield torch.diff(values, append=torch.tensor([len(ids)]))


class CountingTrainer(SentenceTransformerTrainer):
    """Counts the real tokens of this rank's batches, and keeps the losses."""

    counts = []

    def compute_loss(self, model, inputs, *arguments, **options):
        lengths = torch.cat(list(lengths_of_columns(inputs)))
        loss = super().compute_loss(model, inputs, *arguments, **options)
        value = (loss[0] if isinstance(loss, tuple) else loss).item()
        rows = int(len(lengths) / len(job["columns"]))
        self.counts.append(
            {"rows": rows, "tokens": int(lengths.sum()), "squares": sum(map(shape.seen, lengths.tolist())), "loss": value})
        return loss


class Clock(TrainerCallback):
    """The moments of steps."""

    began, ends = None, []

    def on_step_begin(self, args, state, control, **rest):
        if self.began is None:
            self.began = time.monotonic()

    def on_step_end(self, args, state, control, **rest):
        self.ends.append(time.monotonic())


model = SentenceTransformer(job["model"], device="cpu")
shape = Shape.of_model(job["model"])
if job["max_seq_length"]:
    model.max_seq_length = job["max_seq_length"]
with open(job["data"], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
dataset = Dataset.from_dict({column: [row[column] for row in rows] for column in job["columns"]})
options = dict(job["loss"])
loss = getattr(losses, options.pop("name"))(model, **options)
clock = Clock()
trainer = CountingTrainer(
    model=model,
    args=SentenceTransformerTrainingArguments(
        output_dir=job["record"] + ".run", use_cpu=True, max_steps=job["max_steps"],
        per_device_train_batch_size=job["batch"], batch_sampler=in_file_order, optim="adamw_torch",
        eval_strategy="no", save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        **job["arguments"]),
    train_dataset=dataset, loss=loss, callbacks=[clock])
trainer.train()
starts = [clock.began] + clock.ends[:-1]
steps = [
    {"seconds": end - start, **counts} for start, end, counts in zip(starts, clock.ends, trainer.counts, strict=True)]
with open(f"{job['record']}.{rank}", "w", encoding="utf-8") as file:
    json.dump({"began": clock.began, "threads": torch.get_num_threads(), "steps": steps}, file)
if torch.distributed.is_initialized():
    # torch's background threads may abort a process that ends while others still run, and the launcher then ends all.
    torch.distributed.barrier()
    os._exit(0)
