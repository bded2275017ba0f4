"""From samples to the rows of the table: medians, spreads, ratios, and their Markdown."""
import statistics

from settings import SETTINGS


def spread(values):
    """Median, least and greatest of some figures."""
    values = list(values)
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "count": len(values)}


def best_peer(samples):
    """The name of the peer's way that was the fastest when each was first run, of one setting and number of cores.

    Only that way is run in later rounds, so that they decide nothing.
    """
    first = {}
    for sample in sorted(samples, key=lambda sample: sample["round"]):
        if sample["program"] == "peer":
            first.setdefault(sample["way"], sample["rows_per_second"])
    return max(first, default=None, key=first.get)


def summarise(samples, shapes, peaks):
    """One entry for each setting and number of cores, in the order of the settings.

    `shapes` are encoder shapes by model; `peaks` FMA peaks in GFLOP/s by number of cores (as text), several of each.
    """
    keys = sorted({(list(SETTINGS).index(s["setting"]), s["cores"], s["setting"]) for s in samples})
    return [
        summarise_cores(
            [s for s in samples if s["setting"] == name and s["cores"] == cores], SETTINGS[name], cores,
            shapes[SETTINGS[name].model], peaks.get(str(cores), []))
        for _, cores, name in keys]


def summarise_cores(samples, setting, cores, shape, peaks):
    """The figures of all ways to do one setting on some cores, and each way's ratio to the peer's best."""
    best = best_peer(samples)
    reference = next((s for s in samples if "squares_per_token" in s), None)
    by_round = {s["round"]: s["rows_per_second"] for s in samples if s["way"] == best}
    ways = {}
    for way in dict.fromkeys(s["way"] for s in samples):
        own = [s for s in samples if s["way"] == way]
        figures = {"title": own[0]["title"], "program": own[0]["program"]}
        for key in ("rows_per_second", "startup_seconds", "wall_seconds", "peak_bytes"):
            figures[key] = spread(s[key] for s in own)
        if "tokens_per_second" in own[0]:
            figures["tokens_per_second"] = spread(s["tokens_per_second"] for s in own)
        elif reference:  # Tutti's encode does not count them; both read the same texts
            per_row = reference["tokens"] / reference["rows"]
            figures["tokens_per_second"] = spread(s["rows_per_second"] * per_row for s in own)
        if reference and peaks and "tokens_per_second" in figures:
            per_token = shape.operations(1, reference["squares_per_token"], setting.trains)
            if per_token > 0:  # a static model has no products but the loss's
                figures["share_of_peak"] = {
                    key: figures["tokens_per_second"][key] * per_token / (statistics.median(peaks) * 1e9)
                    for key in ("median", "min", "max")}
        paired = [s["rows_per_second"] / by_round[s["round"]] for s in own if s["round"] in by_round]
        if way != best and paired:
            figures["ratio"] = spread(paired)
        ways[way] = figures
    return {"setting": setting.name, "title": setting.title, "cores": cores, "best_peer": best, "ways": ways}


# ---- Markdown ------------------------------------------------------------------------------------------------------


def figure(number):
    """A figure with three digits, whatever its size."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def with_spread(values, suffix=""):
    text = figure(values["median"]) + suffix
    return f"{text} ({figure(values['min'])}..{figure(values['max'])})" if values["count"] > 1 else text


def shown_ways(entry):
    """The ways of the main table: Tutti's, then the peer's best."""
    tutti = [name for name, way in entry["ways"].items() if way["program"] == "tutti"]
    return tutti + [entry["best_peer"]] * (entry["best_peer"] is not None)


def main_table(entries):
    """Cells of the main table, head first."""
    rows = [["work", "cores", "program", "samples/s", "x peer", "real tokens/s", "of FMA peak", "memory", "start-up"]]
    for entry in entries:
        for name in shown_ways(entry):
            way = entry["ways"][name]
            share = way.get("share_of_peak")
            rows.append([
                entry["title"], str(entry["cores"]), way["title"], with_spread(way["rows_per_second"]),
                with_spread(way["ratio"], "x") if "ratio" in way else "1" if name == entry["best_peer"] else "-",
                figure(way["tokens_per_second"]["median"]) if "tokens_per_second" in way else "-",
                f"{share['median']:.0%}" if share else "-",
                f"{way['peak_bytes']['median'] / 1e9:.2f} GB", f"{with_spread(way['startup_seconds'])} s"])
    return rows


def scaling_table(entries):
    """Cells of the table of several cores against one, for the ways of the main table."""
    one = {entry["setting"]: entry for entry in entries if entry["cores"] == 1}
    rows = [["work", "cores", "program", "samples/s against one core"]]
    for entry in entries:
        if entry["cores"] == 1 or entry["setting"] not in one:
            continue
        alone = one[entry["setting"]]
        for name in shown_ways(entry):
            partner = alone["best_peer"] if name == entry["best_peer"] else name
            if partner in alone["ways"]:
                ratio = (entry["ways"][name]["rows_per_second"]["median"]
                         / alone["ways"][partner]["rows_per_second"]["median"])
                rows.append([entry["title"], str(entry["cores"]), entry["ways"][name]["title"], f"{ratio:.2f}x"])
    return rows


def other_ways(entries):
    """Lines about the peer's ways that were not its best."""
    lines = []
    for entry in entries:
        for name, way in entry["ways"].items():
            if way["program"] == "peer" and name != entry["best_peer"]:
                lines.append(
                    f"{entry['title']}, {entry['cores']} cores, {way['title']}: "
                    f"{with_spread(way['rows_per_second'])} samples/s, {way['peak_bytes']['median'] / 1e9:.2f} GB")
    return lines


def markdown(rows):
    """Cells as a Markdown table whose columns line up as text."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
