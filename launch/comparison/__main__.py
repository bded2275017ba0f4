"""Runs the comparison of launch/compare, which first creates the build, the peer's environment and the models."""
import argparse
import hashlib
import json
import pathlib
import shutil
import signal
import sys

import machine
import plot
import processes
import programs
import report
import tables
import texts
from comparison import Comparison
from settings import LOSSES, SETTINGS
from shapes import Shape
from store import OtherRun, Store

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def fail(code, message):
    print(f"compare: {message}", file=sys.stderr)
    sys.exit(code)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(64, f"{message} (launch/compare --help lists the options)")


def read_options():
    def count(text):
        if not text.isdigit() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"must be a positive integer, not '{text}'")
        return int(text)

    def names(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in SETTINGS:
                raise argparse.ArgumentTypeError(f"no setting '{name}'; known: {', '.join(SETTINGS)}")
        return [name for name in SETTINGS if name in chosen]

    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "runs/comparison")
    parser.add_argument("--only", type=names, default=[name for name, setting in SETTINGS.items() if setting.usual])
    parser.add_argument("--rounds", type=count)
    parser.add_argument("--steps", type=count)
    parser.add_argument("--warmup", type=count)
    parser.add_argument("--sentences", type=count)
    parser.add_argument("--cores", type=count)
    parser.add_argument("--nli", type=pathlib.Path)
    parser.add_argument("--nli-columns", type=lambda text: text.split(","))
    parser.add_argument("--sts", type=pathlib.Path)
    parser.add_argument("--sts-columns", type=lambda text: text.split(","))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--needs", action="store_true")  # only prints the models that the options need
    parser.add_argument("--tutti", type=pathlib.Path)
    parser.add_argument("--peer", type=pathlib.Path)
    parser.add_argument("--model", action="append", default=[], help="NAME=FOLDER")
    options = parser.parse_args()
    usual = {"rounds": 1, "steps": 2, "warmup": 1, "sentences": 256} if options.quick else {
        "rounds": 3, "steps": 3, "warmup": 4, "sentences": 1000}
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for path in (options.nli, options.sts):
        if path and not path.is_file():
            fail(66, f"{path}: no such file")
    if (options.nli_columns and not options.nli) or (options.sts_columns and not options.sts):
        fail(64, "columns are named of a file of your own, --nli or --sts")
    options.output = options.output.resolve()
    return options


def make_data(options, folder, cores):
    """Writes the texts that the chosen settings need; returns their rows by file name."""
    triplets = pairs = None
    if options.nli:
        triplets = texts.pick_columns(
            options.nli, texts.read_rows(options.nli), ("anchor", "positive", "negative"), options.nli_columns)
    if options.sts:
        pairs = texts.pick_columns(
            options.sts, texts.read_rows(options.sts), ("sentence1", "sentence2"), options.sts_columns)
    chosen = [SETTINGS[name] for name in options.only]
    wanted = {setting.texts for setting in chosen}
    if (triplets is None and wanted - {"pairs.jsonl"}) or (pairs is None and "pairs.jsonl" in wanted):
        described = texts.from_descriptions(texts.read_rows(package_descriptions()))
        triplets, pairs = triplets or described[0], pairs or described[1]

    def needed(name):
        return max(
            setting.batch * cores * (setting.steps(options.steps) + setting.steps(options.warmup))
            for setting in chosen if setting.texts == name)

    rows = {}
    if "triplets.jsonl" in wanted:
        rows["triplets.jsonl"] = texts.repeated(triplets, needed("triplets.jsonl"))
    if "pairs.jsonl" in wanted:
        rows["pairs.jsonl"] = texts.repeated(pairs, needed("pairs.jsonl"))
    if "long.jsonl" in wanted:
        rows["long.jsonl"] = texts.joined_texts(triplets, needed("long.jsonl"))
    if "longest.jsonl" in wanted:
        rows["longest.jsonl"] = texts.joined_texts(triplets, needed("longest.jsonl"), words=1030)
    if "sentences.jsonl" in wanted:
        rows["sentences.jsonl"] = texts.different_texts(triplets, options.sentences)
    for name, content in rows.items():
        texts.write_rows(folder / name, content)
    return rows


def package_descriptions():
    """The training file that launch/quickstart makes too; fetched if it is missing."""
    folder = ROOT / "runs/quickstart-data/packages"
    if not (folder / "train.jsonl").is_file():
        print("compare: fetching the descriptions of this distribution's packages", flush=True)
        lists = ROOT / "runs/quickstart-data/apt"
        lists.parent.mkdir(parents=True, exist_ok=True)
        try:
            processes.run(
                [sys.executable, HERE.parent / "make-package-data.py", "--lists", lists, "--output", folder],
                processes.clean_environment(), ROOT / "runs/quickstart-data/log")
        except processes.Failed as error:
            fail(75, f"no texts: {error}; pass your own with --nli and --sts")
        shutil.rmtree(lists)
    return folder / "train.jsonl"


def main():
    # As an exit, so that what is running is ended too: it has a session of its own.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = read_options()
    if options.needs:
        print("\n".join(sorted({SETTINGS[name].model for name in options.only})))
        return
    models = dict(pair.split("=", 1) for pair in options.model)
    cores = machine.physical_cores()
    if options.cores and options.cores > len(cores):
        fail(64, f"--cores {options.cores}: this process may use {len(cores)} physical cores")
    cores = cores[:options.cores] if options.cores else cores
    packages = [line.split("==")[0] for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line]
    versions = machine.versions(ROOT, options.tutti, options.peer / "bin/python", packages)
    facts = {
        "machine": machine.describe(), "versions": versions, "doctor": machine.doctor(options.tutti),
        # Reading the weights also brings them into memory: the first program to load them pays for no disk.
        "models_sha256": {name: digest(pathlib.Path(folder) / "model.safetensors") for name, folder in models.items()}}
    try:
        store = Store(options.output, options.fresh)
        store.claim({
            "Tutti": digest(options.tutti), "peer": versions["peer"], "machine": facts["machine"], "cores": cores,
            "steps": options.steps, "warmup": options.warmup, "sentences": options.sentences, "losses": LOSSES,
            "nli": options.nli and digest(options.nli), "sts": options.sts and digest(options.sts)})
        rows = make_data(options, store.folder / "data", len(cores))
    except texts.BadData as error:
        fail(65, str(error))
    except OtherRun as error:
        fail(64, f"{error}; another --output, or --fresh to start over")
    runner = programs.Programs(
        options.tutti, options.peer / "bin/python", models, store.folder / "data", store.folder / "work",
        store.folder / "logs")
    shapes = {name: Shape.of_model(folder) for name, folder in models.items()}
    providers = facts["doctor"].get("gemm_providers", [])
    comparison = Comparison(options, store, runner, cores, providers, rows, shapes)
    comparison.run()
    peaks = {str(count): found for count, found in comparison.peaks.items()}
    entries = tables.summarise(comparison.samples, shapes, peaks)
    text = report.results_text(comparison, facts, entries)
    caption = f"{facts['machine']['processor']}; medians of {options.rounds} rounds, lines from least to greatest"
    (store.folder / "results.md").write_text(text, encoding="utf-8")
    (store.folder / "results.svg").write_text(plot.svg(entries, caption), encoding="utf-8")
    store.write(store.folder / "results.json", facts | {
        "losses": LOSSES, "data_sha256": {name: digest(store.folder / "data" / name) for name in rows},
        "fma_peak_gflops": peaks, "summary": entries, "samples": comparison.samples, "failures": comparison.failures})
    print()
    print(text)
    print(f"{store.folder}/results.json results.md results.svg")
    if comparison.failures:
        fail(1, f"{report.count(len(comparison.failures), 'part')} failed: " + "; ".join(comparison.failures))


if __name__ == "__main__":
    main()
