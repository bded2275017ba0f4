"""How each program is started for one part of the comparison, and what is read from it: a sample.

A sample holds, as far as they apply: rows_per_second and tokens_per_second (medians over the timed steps, so that a
moment's disturbance of the machine does not count), the raw `steps`,
`squares_per_token` (for the count of operations), `peak_bytes` of the largest process, `startup_seconds` (from the
start of the command, launcher included, until its first batch is tokenised and the first step begins; encoding: all
of the process but the encoding itself) and `wall_seconds` of the whole process.
"""
import json
import pathlib
import shutil
import statistics

from processes import Failed, clean_environment, run
from settings import LOSSES, TRAINING_ARGUMENTS

HERE = pathlib.Path(__file__).resolve().parent
LAUNCH = HERE.parent
BATCH_SIZES = (32, 8, 16, 64, 128)  # of the peer's encode; the first is its default


class Programs:
    """The programs, and where they may write."""

    def __init__(self, tutti, peer_python, models, data, work, logs):
        self.tutti, self.peer_python = tutti, peer_python
        self.models, self.data = models, data  # folders by name; folder
        self.work, self.logs = work, logs

    def sample(self, setting, way, cores, steps, warmup, name):
        """Runs one part in a fresh process and returns its sample; throws Failed."""
        work = self.work / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        log = self.logs / f"{name}.log"
        total = steps + warmup
        try:
            if way.program == "tutti":
                if setting.trains:
                    return self._tutti_trains(setting, way, cores, total, warmup, work, log)
                return self._tutti_encodes(setting, way, cores, log)
            if setting.trains:
                return self._peer_trains(setting, way, cores, total, warmup, work, log)
            return self._peer_encodes(setting, way, cores, work, log)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    # ---- Tutti -----------------------------------------------------------------------------------------------------

    def _tutti_command(self, way, cores, arguments):
        """One rank is started as it is, several by launch/tutti-run; both on `cores`."""
        command = ["taskset", "-c", ",".join(map(str, cores))]
        if way.processes > 1:
            command += [LAUNCH / "tutti-run", "--quiet", "-np", way.processes, "--threads", way.threads, "--"]
        command += [self.tutti, *arguments, "--threads", way.threads]
        return command + (["--gemm", way.gemm] if way.gemm else [])

    def _tutti_trains(self, setting, way, cores, total, warmup, work, log):
        configuration = {
            "model": str(self.models[setting.model]),
            "output_dir": str(work / "run"),
            "train_dataset": {"path": str(self.data / setting.texts), "columns": list(setting.columns)},
            "loss": LOSSES[setting.name],
            "args": TRAINING_ARGUMENTS | {
                "max_steps": total, "global_train_batch_size": setting.batch * len(cores),
                "batch_sampler": "sequential", "logging_steps": 1, "eval_strategy": "no", "save_strategy": "no"},
        }
        if setting.max_seq_length:
            configuration["max_seq_length"] = setting.max_seq_length
        path = work / "train.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        finished = run(self._tutti_command(way, cores, ["train", path, "--json"]), clean_environment(), log)
        logged = [(moment, json.loads(line)) for moment, line in finished.lines if line.startswith("{")]
        logged = [(moment, line) for moment, line in logged if "step_seconds" in line]
        if len(logged) != total:
            raise Failed(f"logged {len(logged)} steps instead of {total} ({log})")
        steps = [
            {"seconds": line["step_seconds"], "rows": setting.batch * len(cores), "tokens": line["tokens"],
             "loss": line["loss"], "phases": line["seconds"]} for _, line in logged]
        moment, first = logged[0]
        began = moment - (first["step_seconds"] - first["seconds"]["data"])
        return of_steps(steps, warmup, finished, began)

    def _tutti_encodes(self, setting, way, cores, log):
        output = self.embeddings(cores)
        finished = run(self._tutti_command(way, cores, [
            "encode", "--model", self.models[setting.model], "--input", self.data / setting.texts,
            "--column", setting.columns[0], "--output", output, "--json"]), clean_environment(), log)
        line = next((json.loads(text) for _, text in finished.lines if text.startswith("{")), None)
        if line is None:
            raise Failed(f"printed no result ({log})")
        return {
            "rows_per_second": line["sentences"] / line["seconds"], "rows": line["sentences"],
            "seconds": line["seconds"], "startup_seconds": finished.seconds - line["seconds"],
            "wall_seconds": finished.seconds, "peak_bytes": finished.peak_bytes}

    def embeddings(self, cores):
        """Where Tutti's embeddings of the encode setting are kept, for the peer's to be compared with."""
        return self.work / f"embeddings-{len(cores)}.npy"

    # ---- sentence-transformers -------------------------------------------------------------------------------------

    def _peer_environment(self, way):
        # The tokenizer's own threads: as many as the process has.
        return clean_environment(
            OMP_NUM_THREADS=way.threads, MKL_NUM_THREADS=way.threads, RAYON_NUM_THREADS=way.threads,
            TOKENIZERS_PARALLELISM="true" if way.threads > 1 else "false", HF_HUB_OFFLINE=1, TRANSFORMERS_OFFLINE=1,
            HF_DATASETS_OFFLINE=1, CUDA_VISIBLE_DEVICES="", PYTHONDONTWRITEBYTECODE=1)

    def _peer_trains(self, setting, way, cores, total, warmup, work, log):
        record = work / "record"
        job = work / "job.json"
        job.write_text(json.dumps({
            "model": str(self.models[setting.model]), "data": str(self.data / setting.texts),
            "columns": setting.columns, "batch": setting.batch * len(cores) // way.processes,
            "max_seq_length": setting.max_seq_length, "max_steps": total, "loss": LOSSES[setting.name],
            "arguments": TRAINING_ARGUMENTS, "threads": way.threads, "cores": cores, "record": str(record)}))
        launcher = [] if way.processes == 1 else [
            "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", way.processes]
        finished = run(
            [self.peer_python, *launcher, HERE / "peer_train.py", job], self._peer_environment(way), log)
        ranks = [json.loads(pathlib.Path(f"{record}.{rank}").read_text()) for rank in range(way.processes)]
        steps = [
            {"seconds": max(part["seconds"] for part in parts)}
            | {key: sum(part[key] for part in parts) for key in ("rows", "tokens", "squares")}
            | {"loss": sum(part["loss"] for part in parts) / len(parts)}
            for parts in zip(*(rank["steps"] for rank in ranks), strict=True)]
        if len(steps) != total:
            raise Failed(f"took {len(steps)} steps instead of {total} ({log})")
        return of_steps(steps, warmup, finished, max(rank["began"] for rank in ranks))

    def _peer_encodes(self, setting, way, cores, work, log):
        record = work / "record"
        job = work / "job.json"
        job.write_text(json.dumps({
            "model": str(self.models[setting.model]), "data": str(self.data / setting.texts),
            "batch_sizes": BATCH_SIZES, "threads": way.threads, "processes": way.processes, "cores": cores,
            "record": str(record), "against": str(self.embeddings(cores))}))
        finished = run([self.peer_python, HERE / "peer_encode.py", job], self._peer_environment(way), log)
        found = json.loads(record.read_text())
        seconds = min(found["seconds_by_batch_size"].values())
        return found | {
            "rows_per_second": found["rows"] / seconds, "tokens_per_second": found["tokens"] / seconds,
            "seconds": seconds, "squares_per_token": found["squares"] / found["tokens"],
            "startup_seconds": found["began"] - finished.began, "wall_seconds": finished.seconds,
            "peak_bytes": finished.peak_bytes}


def of_steps(steps, warmup, finished, began):
    """The sample of a training run; `began` is the moment when its first step began."""
    timed = steps[warmup:]
    sample = {
        "rows_per_second": statistics.median(step["rows"] / step["seconds"] for step in timed),
        "tokens_per_second": statistics.median(step["tokens"] / step["seconds"] for step in timed),
        "startup_seconds": began - finished.began, "wall_seconds": finished.seconds,
        "peak_bytes": finished.peak_bytes, "warmup": warmup, "steps": steps}
    if all("squares" in step for step in timed):
        sample["squares_per_token"] = (
            sum(step["squares"] for step in timed) / sum(step["tokens"] for step in timed))
    return sample
