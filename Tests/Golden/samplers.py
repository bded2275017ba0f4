"""What the reference's samplers make of labels and of several data sets: everything that does not depend on its dice.

Pinned: sentence-transformers 6.2.0, torch 2.15.0, datasets 5.2.0. Run from anywhere:

    python Tests/Golden/samplers.py

Writes Tests/Golden/samplers/group_by_label.jsonl: labels, the size of a batch, drop_last, the sizes of the batches in
order and how many rows of each label an epoch has; and multi_dataset.jsonl: rows of the data sets, the size of a batch,
drop_last, the strategy, how many batches of each data set an epoch has, and their order where it is not random.
"""

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

# This folder's tokenizers.py must not stand for the package.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
import torch
from datasets import Dataset
from sentence_transformers.base import sampler
from torch.utils.data import ConcatDataset

FOLDER = Path(__file__).parent / "samplers"


def group_by_label(labels: list[int], size: int, drop_last: bool) -> dict:
    data = Dataset.from_dict({"text": [str(row) for row in range(len(labels))], "label": labels})
    batches = sampler.GroupByLabelBatchSampler(
        data, size, drop_last, valid_label_columns=["label"], generator=torch.Generator(), seed=3)
    found = list(batches)
    assert len(found) == len(batches)
    used = Counter(labels[row] for batch in found for row in batch)
    # Where a short last batch is left out, chance decides whose rows it would have held.
    whole = not drop_last and sum(map(len, found)) == batches._stream_length
    return {"labels": labels, "size": size, "drop_last": drop_last, "batches": [len(batch) for batch in found],
            "rows_of_label": sorted(used.items()) if whole else None}


def multi_dataset(rows: list[int], size: int, drop_last: bool, strategy: str) -> dict:
    tables = [Dataset.from_dict({"text": [f"{name} {row}" for row in range(count)]}) for name, count in enumerate(rows)]
    parts = [
        sampler.DefaultBatchSampler(torch.utils.data.RandomSampler(table), batch_size=size, drop_last=drop_last)
        for table in tables
    ]
    kind = {"proportional": sampler.ProportionalBatchSampler, "round_robin": sampler.RoundRobinBatchSampler}[strategy]
    whole = ConcatDataset(tables)
    batches = kind(whole, parts, generator=torch.Generator(), seed=5)
    ends = whole.cumulative_sizes
    order = []
    for batch in batches:
        own = {next(place for place, end in enumerate(ends) if row < end) for row in batch}
        assert len(own) == 1
        order.append(own.pop())
    return {"rows": rows, "size": size, "drop_last": drop_last, "strategy": strategy,
            "batches_of_dataset": [order.count(place) for place in range(len(rows))],
            "order": order if strategy == "round_robin" else None}


def main() -> None:
    draw = random.Random(11)
    labels = [
        [0, 0, 1, 1], [0, 0, 1, 1, 2], [0] * 5 + [1] * 3, [0] * 40 + [1] * 6 + [2] * 4, [7] * 9 + [-2] * 9 + [3],
        [row % 10 for row in range(100)], [draw.randrange(4) for _ in range(63)],
        [draw.randrange(30) for _ in range(120)], [int(draw.random() ** 3 * 12) for _ in range(150)],
    ]
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / "group_by_label.jsonl", "w") as file:
        for values in labels:
            for size in [4, 6, 16]:
                for drop_last in [False, True]:
                    file.write(json.dumps(group_by_label(values, size, drop_last)) + "\n")
    with open(FOLDER / "multi_dataset.jsonl", "w") as file:
        for rows in [[7], [8, 8], [30, 7, 1], [3, 50, 21, 20], [16, 5]]:
            for drop_last in [False, True]:
                for strategy in ["proportional", "round_robin"]:
                    file.write(json.dumps(multi_dataset(rows, 4, drop_last, strategy)) + "\n")


main()
