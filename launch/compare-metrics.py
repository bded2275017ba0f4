#!/usr/bin/env python3
"""Print a table of two sets of metrics: compare-metrics.py BEFORE.json AFTER.json [--require METRIC]

Each file holds the JSON object that `tutti evaluate --json` printed. With --require the exit code is 1 unless the
metric whose key ends in METRIC rose. Standard library only.
"""
import json
import sys

ROWS = [  # title, suffix of the reference's key, suffix to exclude
    ("right description found first   (accuracy@1)", "_accuracy@1"),
    ("rank of the right description   (MRR@10)", "_mrr@10"),
    ("quality of the ten best         (nDCG@10)", "_ndcg@10"),
    ("nearer than a wrong one         (triplet accuracy)", "_accuracy"),
]


def flat(value, prefix=""):
    """Numbers of nested objects by their last key."""
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in flat(inner, name).items()}
    return {prefix: float(value)} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def find(metrics, ending):
    keys = [key for key in metrics if key.endswith(ending)]
    return metrics[sorted(keys, key=lambda key: ("cosine" not in key, key))[0]] if keys else None


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return flat(json.loads(text))
    except ValueError:  # lines before the object, printed by a launcher
        return flat(json.loads(text[text.index("{"):]))


def main():
    arguments = sys.argv[1:]
    required = None
    if "--require" in arguments:
        at = arguments.index("--require")
        required = arguments[at + 1]
        del arguments[at:at + 2]
    before, after = (read(path) for path in arguments)
    print(f"{'':52}{'before':>8}{'after':>9}{'change':>9}")
    for title, ending in ROWS:
        old, new = find(before, ending), find(after, ending)
        if old is not None and new is not None:
            print(f"{title:52}{old:8.4f}{new:9.4f}{new - old:+9.4f}")
    if required:
        old, new = find(before, required), find(after, required)
        if old is None or new is None or not new > old:
            print(f"compare-metrics: {required} did not rise ({old} before, {new} after)", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
