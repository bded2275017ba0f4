"""Some training steps with sentence-transformers without dropout, from a job file. Runs in the peer's environment.

    peer_step.py JOB.json        job: model, data (JSON lines of anchor, positive), batch, threads, learning_rate, record

The record holds loss, grad_norm (before clipping at 1) and seconds of each step, in file order, and tokens.
"""
import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

job = json.load(open(sys.argv[1], encoding="utf-8"))
torch.set_num_threads(job["threads"])
model = SentenceTransformer(job["model"], device="cpu").eval()
loss = losses.MultipleNegativesRankingLoss(model, scale=20.0)
optimizer = torch.optim.AdamW(model.parameters(), lr=job["learning_rate"], weight_decay=0.0)
with open(job["data"], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]

steps = []
for start in range(0, len(rows), job["batch"]):
    began = time.monotonic()
    batch = rows[start:start + job["batch"]]
    columns = [model.preprocess([row[name] for row in batch]) for name in ("anchor", "positive")]
    value = loss(columns, None)
    value.backward()
    # In float64: clip_grad_norm_ adds the squares of a large table in float32, 7e-5 off for MPNet.
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = sum(float(gradient.double().square().sum()) for gradient in gradients) ** 0.5
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    steps.append({"loss": value.item(), "grad_norm": norm, "seconds": time.monotonic() - began})
with open(job["record"], "w", encoding="utf-8") as file:
    json.dump(steps, file)
