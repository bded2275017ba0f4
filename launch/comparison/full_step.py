"""Compares training steps of both programs on models of full size: loss, gradient norm, time and memory. See launch/full-step."""
import json
import pathlib
import random
import statistics
import sys
import tempfile

import processes

HERE = pathlib.Path(__file__).resolve().parent
LEARNING_RATE, BATCH = 2.0e-5, 4
STEPS = 3
# Of the first step, whose weights are equal; relative to the larger of 1 and the figure.
BOUND = 1e-5
# Of the last step: AdamW turns the sign of a gradient of rounding errors into a whole step.
LATER_BOUND = 1e-3
NO_DROPOUT = {"distilbert": ("dropout", "attention_dropout"), "modernbert": (), "qwen3": ()}  # by model_type
USUAL_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
WORDS = (
    "river stone bird lantern quiet harbour winter letter copper window garden measure distant engine careful paper "
    "mountain signal children kitchen thunder market silver morning question answer language number machine forest"
).split()


def main():
    tutti, peer, *folders = sys.argv[1:]
    rng = random.Random(7)
    rows = [{name: " ".join(rng.choices(WORDS, k=rng.randint(5, 60))) for name in ("anchor", "positive")}
            for _ in range(BATCH * STEPS)]
    failed = 0
    print(f"{'model':24} {'loss':>21} {'gradient norm':>21} {'s a step':>15} {'peak GB':>15}   Tutti | reference", flush=True)
    for folder in map(pathlib.Path, folders):
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            try:
                ours, theirs = tutti_steps(tutti, folder, work), peer_steps(peer, folder, work)
            except processes.Failed as error:
                print(f"{folder.name}: {error}", flush=True)
                failed += 1
                continue
        problems = [
            f"{key} of step {step + 1} differs by {abs(a[key] - b[key]):.2g}"
            for step, (a, b) in enumerate(zip(ours["steps"], theirs["steps"], strict=True))
            for key, bound in (("loss", BOUND if step == 0 else LATER_BOUND), ("grad_norm", BOUND if step == 0 else None))
            if bound and abs(a[key] - b[key]) > bound * max(1, abs(b[key]))]
        first, second = ours["steps"][0], theirs["steps"][0]
        seconds = [statistics.median(step["seconds"] for step in side["steps"][1:]) for side in (ours, theirs)]
        print(f"{folder.name:24} {first['loss']:10.6f} {second['loss']:10.6f} {first['grad_norm']:10.4f} "
              f"{second['grad_norm']:10.4f} {seconds[0]:7.2f} {seconds[1]:7.2f} {ours['peak'] / 1e9:7.2f} "
              f"{theirs['peak'] / 1e9:7.2f}   {'; '.join(problems) or 'equal'}", flush=True)
        failed += bool(problems)
    sys.exit(1 if failed else 0)


def tutti_steps(tutti, folder, work):
    path = folder / "config.json"
    keys = NO_DROPOUT.get(json.loads(path.read_text())["model_type"], USUAL_DROPOUT) if path.is_file() else ()
    configuration = {
        "model": str(folder), "output_dir": str(work / "run"),
        "config_overrides": {key: 0.0 for key in keys},
        "train_dataset": {"path": str(work / "rows.jsonl"), "columns": ["anchor", "positive"]},
        "loss": {"name": "MultipleNegativesRankingLoss", "scale": 20.0},
        "args": {
            "max_steps": STEPS, "per_device_train_batch_size": BATCH, "batch_sampler": "sequential", "logging_steps": 1,
            "learning_rate": LEARNING_RATE, "lr_scheduler_type": "constant", "weight_decay": 0.0, "max_grad_norm": 1.0,
            "eval_strategy": "no", "save_strategy": "no"}}
    (work / "train.json").write_text(json.dumps(configuration))
    finished = processes.run(
        [tutti, "train", work / "train.json", "--json", "--threads", 1], processes.clean_environment(), work / "tutti.log")
    lines = [json.loads(line) for _, line in finished.lines if line.startswith("{")]
    steps = [{"loss": line["loss"], "grad_norm": line["grad_norm"], "seconds": line["step_seconds"]}
             for line in lines if "step_seconds" in line]
    return {"steps": steps, "peak": finished.peak_bytes}


def peer_steps(peer, folder, work):
    record = work / "record"
    (work / "job.json").write_text(json.dumps({
        "model": str(folder), "data": str(work / "rows.jsonl"), "batch": BATCH, "threads": 1,
        "learning_rate": LEARNING_RATE, "record": str(record)}))
    finished = processes.run(
        [peer, HERE / "peer_step.py", work / "job.json"],
        processes.clean_environment(OMP_NUM_THREADS=1, HF_HUB_OFFLINE=1, CUDA_VISIBLE_DEVICES=""), work / "peer.log")
    return {"steps": json.loads(record.read_text()), "peak": finished.peak_bytes}


if __name__ == "__main__":
    main()
