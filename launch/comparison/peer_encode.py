"""Encodes with sentence-transformers from a job file, and writes how long it took. Runs in the peer's environment.

    peer_encode.py JOB.json      job: model, data, batch_sizes, threads, processes, cores (CPU numbers),
                                 record (where the record goes), against (a .npy of the same texts, or null)

After a warm-up, every batch size encodes the first texts; then all texts are encoded with the first of `batch_sizes`
and with the fastest. More than one process: a pool of the library, started before the clock.
"""
import json
import os
import sys
import time

job = json.load(open(sys.argv[1], encoding="utf-8"))
os.sched_setaffinity(0, set(job["cores"]))

import numpy
import torch
from sentence_transformers import SentenceTransformer

TRIAL = 256  # texts on which batch sizes are tried


def main():
    torch.set_num_threads(job["threads"])
    model = SentenceTransformer(job["model"], device="cpu")
    with open(job["data"], encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    pool = model.start_multi_process_pool(["cpu"] * job["processes"]) if job["processes"] > 1 else None

    def encode(some, size):
        # A pool distributes chunks: one per process, so that none waits.
        shared = {"pool": pool, "chunk_size": -(-len(some) // job["processes"])} if pool else {}
        return model.encode(some, batch_size=size, show_progress_bar=False, **shared)

    def timed(some, size):
        start = time.monotonic()
        vectors = encode(some, size)
        return time.monotonic() - start, vectors

    began = time.monotonic()
    encode(texts[:64], job["batch_sizes"][0])
    trials = {size: timed(texts[:TRIAL], size)[0] for size in job["batch_sizes"]}
    fastest = min(trials, key=trials.get)
    runs = {}
    for size in dict.fromkeys((job["batch_sizes"][0], fastest)):
        runs[size], vectors = timed(texts, size)
    if pool:
        model.stop_multi_process_pool(pool)

    # Outside the clock: what the figures are divided by, and whether both programs computed the same.
    lengths = []
    for at in range(0, len(texts), 64):
        lengths += model.preprocess(texts[at:at + 64])["attention_mask"].sum(1).tolist()
    difference = None
    if job["against"] and os.path.exists(job["against"]):
        difference = float(numpy.abs(numpy.load(job["against"]) - vectors).max())
    record = {
        "began": began, "rows": len(texts), "tokens": sum(lengths), "squares": sum(n * n for n in lengths),
        "seconds_by_batch_size": {str(size): seconds for size, seconds in runs.items()}, "trials": trials,
        "largest_difference": difference}
    with open(job["record"], "w", encoding="utf-8") as file:
        json.dump(record, file)


if __name__ == "__main__":  # a pool's processes import this file again
    main()
