"""The text of results.md: head, tables, and what the figures mean."""
import tables
from settings import LOSSES


def results_text(comparison, facts, entries):
    """The whole of results.md; also printed."""
    scaling, others = tables.scaling_table(entries), tables.other_ways(entries) + batch_sizes(comparison.samples)
    lines = ["# Tutti and sentence-transformers on the same cores", "", *head(comparison, facts), "",
             tables.markdown(tables.main_table(entries)), ""]
    if len(scaling) > 1:
        lines += ["All cores against one (training: as many rows a step for each core):", "",
                  tables.markdown(scaling), ""]
    if others:
        lines += ["Other ways:", "", *[f"- {line}" for line in others], ""]
    lines += ["What the figures mean:", "", *[f"- {line}" for line in meanings(comparison.options, entries)], ""]
    if comparison.failures:
        lines += ["Failed parts:", "", *[f"- {line}" for line in comparison.failures], ""]
    return "\n".join(lines)


def head(comparison, facts):
    """Lines about the machine and the versions."""
    versions = facts["versions"]
    peaks = "; ".join(
        f"{count(cores, 'core')} {tables.with_spread(tables.spread(found))} GFLOP/s"
        for cores, found in sorted(comparison.peaks.items()))
    peer = ", ".join(
        f"{name} {versions['peer'].get(name)}" for name in ("sentence-transformers", "torch", "transformers"))
    return [f"{facts['machine']['processor']}, Linux {facts['machine']['kernel']}. Tutti {versions['tutti']} at commit "
            f"{versions['commit']}, {versions['open_mpi']}; {peer}.",
            f"FMA peak, measured in the same run: {peaks or 'unknown (this build has no tutti bench kernels)'}."]


def meanings(options, entries):
    """Sentences that define the columns."""
    losses = {}
    for entry in entries:
        if entry["setting"] in LOSSES:
            losses.setdefault(LOSSES[entry["setting"]]["name"], {})[entry["title"]] = None
    kinds = "; ".join(f"{name} ({' / '.join(titles)})" for name, titles in losses.items())
    return [
        f"Medians over {count(options.rounds, 'round')}, in brackets least..greatest. In a round the programs take "
        "turns on the same cores, each in a fresh process.",
        "Both train for real in fp32 on the same rows in the same order: AdamW, clipping at norm 1, the model's own "
        f"dropout, negatives gathered over ranks. Losses: {kinds or 'none'}. Rows per step are those named, for each "
        "core.",
        f"A process takes {count(options.warmup, 'step')} to warm up (sentence-transformers is slower in its first "
        f"ones), then the median of {options.steps} counts; long texts take half as many. A step includes "
        "making its batch.",
        "Samples are rows, or sentences to encode. Real tokens are those of the attention masks, without padding.",
        "The share of FMA peak counts 6 P T + 12 L D sum(n^2) operations: P parameters in GEMMs, T real tokens, n "
        "tokens of a sequence, L layers of width D; a third of that to encode.",
        "Memory is the largest resident set of the largest process.",
        "Start-up is from the start of the command, launcher included, until the first batch is tokenised and its step "
        "begins; of encoding, all of the process before it encodes (Tutti: and after it).",
    ]


def batch_sizes(samples):
    """Lines about the batch sizes that sentence-transformers encoded with; the table has the faster."""
    return [
        f"{sample['title']}: " + ", ".join(
            f"{tables.figure(sample['rows'] / seconds)} sentences/s at batch size {size}"
            for size, seconds in sample["seconds_by_batch_size"].items())
        for sample in samples if "seconds_by_batch_size" in sample and sample["round"] == 1]


def count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"
