#!/usr/bin/env python3
"""Compares what runs have left. Standard library only.

    runs.py world START A B [TOLERANCE]   runs A and B, which began with the weights of the model folder START, agree as runs
                                          of different numbers of ranks must: losses to 2e-6 max(1, |loss|), weights to
                                          TOLERANCE (1e-5) of the way that they went; prints both figures
    runs.py losses A B TOLERANCE          only the losses, to TOLERANCE max(1, |loss|)
    runs.py checkpoints RUN               every checkpoint-N of the run holds the bytes that its tutti_state.json lists; prints
                                          the newest
The exit code is 1 if it is not so.
"""
import array
import hashlib
import json
import math
import os
import struct
import sys


def tensors(path):
    """The float32 tensors of a safetensors file by name."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        body = file.read()
    return {
        name: array.array("f", body[entry["data_offsets"][0]:entry["data_offsets"][1]])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def distance(a, b):
    """The Euclidean distance of two sets of tensors."""
    if a.keys() != b.keys():
        raise SystemExit(f"different tensors: {sorted(a.keys() ^ b.keys())[:3]}")
    return math.sqrt(sum((x - y) ** 2 for name in a for x, y in zip(a[name], b[name])))


def losses(run):
    """The logged losses by step."""
    found = {}
    with open(os.path.join(run, "metrics.jsonl")) as file:
        for line in file:
            entry = json.loads(line)
            if "loss" in entry and "step" in entry:
                found[entry["step"]] = entry["loss"]
    return found


def largest_loss_difference(a, b):
    """The largest difference of two runs' losses, relative to max(1, |loss|)."""
    one, other = losses(a), losses(b)
    if not one or one.keys() != other.keys():
        raise SystemExit(f"logged steps differ: {len(one)} and {len(other)} lines")
    return max(abs(one[step] - other[step]) / max(1, abs(other[step])) for step in one)


def world(start, a, b, tolerance=1e-5):
    loss = largest_loss_difference(a, b)
    first, one, other = (
        tensors(path + "/model.safetensors") for path in (start, a + "/final", b + "/final"))
    moved = distance(first, other)
    norm = math.sqrt(sum(x * x for values in first.values() for x in values))
    weights = distance(one, other) / moved
    print(f"losses differ by {loss:.1e}, weights by {weights:.1e} of their way ({moved / norm:.0%} of their length)")
    return loss <= 2e-6 and weights <= float(tolerance) and moved >= 0.01 * norm


def only_losses(a, b, tolerance):
    loss = largest_loss_difference(a, b)
    print(f"losses differ by {loss:.1e}")
    return loss <= float(tolerance)


def checkpoints(run):
    newest = 0
    for name in sorted(os.listdir(run)):
        if not name.startswith("checkpoint-") or not name[11:].isdigit():
            continue
        folder = os.path.join(run, name)
        with open(os.path.join(folder, "tutti_state.json")) as file:
            listed = json.load(file)["sha256"]
        for member, expected in listed.items():
            with open(os.path.join(folder, member), "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != expected:
                    print(f"{name}/{member}")
                    return False
        newest = max(newest, int(name[11:]))
    print(newest)
    return True


def main():
    commands = {"world": world, "losses": only_losses, "checkpoints": checkpoints}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        print(__doc__)
        return 64
    return 0 if commands[sys.argv[1]](*sys.argv[2:]) else 1


if __name__ == "__main__":
    sys.exit(main())
