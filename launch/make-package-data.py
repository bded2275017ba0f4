#!/usr/bin/env python3
"""A real data set that every Debian or Ubuntu machine has: the package descriptions of its distribution.

    make-package-data.py --lists APT_FOLDER --output FOLDER      fetches the lists into APT_FOLDER, writes FOLDER
    make-package-data.py --files LIST ... --output FOLDER        from Packages and Translation-en files at hand
    make-package-data.py --pairs FILE --output FOLDER            from a data set of your own: .jsonl or .csv, whose
                                                                 first two columns are short text and long text

The task: a one-line synopsis finds its long description among thousands. Written are
    train.jsonl                             {"anchor": synopsis, "positive": description}
    dev/corpus.jsonl queries.jsonl qrels.tsv     retrieval in the BEIR layout
    dev/triplets.csv                        anchor, positive, negative for 1,000 of them (the negative is the dev
                                            description of another source package that shares most rare words with
                                            the anchor, so that chance is not enough)
Transitional and dummy packages are dropped, texts that occur twice are taken once, and all packages of one source go
to the same side. apt-get update runs with folders of its own: no root, and nothing of the system's lists changes.
Exit codes: 65 too few entries or a bad file, 66 no apt, 75 the lists could not be fetched. Standard library only.
"""
import argparse
import collections
import csv
import hashlib
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys

# One file instead of -o options, because only a file can clear the hooks (clean-up, appstream) that need root.
APT_CONFIGURATION = """
Acquire::Languages {{ "en"; }};
Acquire::GzipIndexes "false";
Acquire::Retries "3";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
#clear Acquire::Languages;
Acquire::Languages {{ "en"; }};
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
"""


def fail(code, message):
    print(f"make-package-data: {message}", file=sys.stderr)
    sys.exit(code)


def fetch_lists(folder):
    """Run apt-get update into `folder`; the paths of its Packages and Translation-en files."""
    if not shutil.which("apt-get"):
        fail(66, "no apt-get here; pass your own data set to the quickstart with --data FILE")
    folder = folder.resolve()
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    configuration = folder / "apt.conf"
    configuration.write_text(APT_CONFIGURATION.format(folder=folder))
    apt = ["apt-get", "-q", "-c", str(configuration)]
    update = subprocess.run(apt + ["update"], capture_output=True, text=True)
    # A third-party source that fails makes the whole update fail; only the existing lists matter.
    targets = subprocess.run(
        apt + ["indextargets", "--format", "$(CREATED_BY)|$(FILENAME)"], capture_output=True, text=True)
    paths = []
    for line in targets.stdout.splitlines():
        kind, _, name = line.partition("|")
        if kind in ("Packages", "Translations") and pathlib.Path(name).is_file():
            paths.append(pathlib.Path(name))
    if not paths:
        complaint = (update.stderr or update.stdout or targets.stderr).strip().splitlines()
        fail(75, "apt-get update fetched no list: " + (complaint[-1] if complaint else "no message"))
    return paths


def stanzas(path):
    """The paragraphs of a control file as {field: value} with lines joined by newline."""
    fields, name = {}, None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if not line:
                if fields:
                    yield fields
                fields, name = {}, None
            elif line[0] in " \t":
                if name:
                    fields[name] += "\n" + line
            else:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
    if fields:
        yield fields


def split_description(value):
    """(synopsis, long description as one paragraph of prose) of a Description field."""
    lines = value.split("\n")
    words = [re.sub(r"^\s*[*+•-]+\s+", "", line[1:]) for line in lines[1:] if line.strip() != "."]
    return " ".join(lines[0].split()), " ".join(" ".join(words).split())


def normal(text):
    return re.sub(r"\W+", " ", text.casefold()).strip()


UNREAL = re.compile(
    r"transitional|dummy|empty package|meta-?package|debug(ging)? symbols|safely (be )?removed|renamed to",
    re.IGNORECASE)


def read_entries(paths):
    """(package, source, synopsis, description) of every real package, texts unique, in the order of names."""
    sources, described = {}, {}
    for path in paths:
        for fields in stanzas(path):
            package = fields.get("Package")
            if not package:
                continue
            if "Version" in fields:
                sources[package] = fields.get("Source", package).split(" ")[0]
            text = fields.get("Description-en") or fields.get("Description", "")
            if "\n" in text:
                described.setdefault(package, text)
    entries, seen = [], set()
    for package in sorted(described):
        synopsis, description = split_description(described[package])
        if package not in sources or UNREAL.search(synopsis) or UNREAL.search(description[:200]):
            continue
        if len(synopsis.split()) < 3 or len(description.split()) < 12:
            continue
        keys = {normal(synopsis), normal(description)}
        if keys & seen or len(keys) < 2:
            continue
        seen |= keys
        entries.append((package, sources[package], synopsis, description))
    return entries


def read_pairs(path):
    """Entries of a user's own file: the first two text columns of JSON lines or CSV, texts unique."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix in (".jsonl", ".ndjson"):
                rows = [list(json.loads(line).values())[:2] for line in file if line.strip()]
            elif path.suffix == ".csv":
                rows = [row[:2] for row in list(csv.reader(file))[1:]]
            else:
                fail(65, f"{path}: a data set is a .jsonl or .csv file")
    except (ValueError, AttributeError, csv.Error) as error:
        fail(65, f"{path}: {error}")
    entries, seen = [], set()
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not all(isinstance(text, str) for text in row):
            fail(65, f"{path}: row {number} does not start with two texts")
        keys = {normal(text) for text in row}
        if len(keys) == 2 and not keys & seen and "" not in keys:
            seen |= keys
            entries.append((f"row-{number}", f"row-{number}", *row))
    return entries


def on_dev_side(source, share):
    """A fixed draw by source name, so that the split does not change when a distribution updates a package."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") < share * 2**64


def hard_negatives(dev, rows_wanted):
    """For each wanted row of `dev` the index of another source's description that shares most rare words with its synopsis."""
    postings = collections.defaultdict(list)
    for index, (_, _, _, description) in enumerate(dev):
        for word in set(normal(description).split()):
            postings[word].append(index)
    for index in rows_wanted:
        _, source, synopsis, _ = dev[index]
        scores = collections.Counter()
        for word in set(normal(synopsis).split()):
            rows = postings.get(word, ())
            if 0 < len(rows) <= len(dev) // 20:
                for row in rows:
                    scores[row] += math.log(len(dev) / len(rows))
        for row in (index * 7919 + step for step in range(1, 50)):
            scores[row % len(dev)] += 0.0
        best = max((s, -row) for row, s in scores.items() if dev[row][1] != source)
        yield -best[1]


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=pathlib.Path)
    parser.add_argument("--files", type=pathlib.Path, nargs="+")
    parser.add_argument("--pairs", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--minimum", type=int, default=5000, help="entries below which there is no data set")
    parser.add_argument("--dev", type=int, default=2400, help="entries on the dev side, about")
    options = parser.parse_args()
    if not options.files and not options.lists and not options.pairs:
        parser.error("one of --lists, --files and --pairs is needed")
    for path in (options.files or []) + ([options.pairs] if options.pairs else []):
        if not path.is_file():
            fail(66, f"{path}: no such file")
    if options.pairs:
        entries = read_pairs(options.pairs)
        if len(entries) < 500:
            fail(65, f"{options.pairs}: only {len(entries)} distinct pairs of texts (500 are needed)")
    else:
        entries = read_entries(options.files or fetch_lists(options.lists))
        if len(entries) < options.minimum:
            fail(65, f"only {len(entries)} package descriptions in the lists of this machine's apt sources "
                     f"({options.minimum} are needed); pass your own data set to the quickstart with --data FILE")
    # Sources are of different sizes, so the draw is widened until the dev side is large enough.
    target = min(options.dev, len(entries) // (5 if options.pairs else 2))
    wanted = min(target * 5 // 6 if options.pairs else 2000, target)
    share = target / len(entries)
    while sum(on_dev_side(entry[1], share) for entry in entries) < wanted:
        share *= 1.05
    dev = [e for e in entries if on_dev_side(e[1], share)]
    train = [e for e in entries if not on_dev_side(e[1], share)]

    work = options.output.with_name(options.output.name + ".tmp")
    shutil.rmtree(work, ignore_errors=True)
    (work / "dev").mkdir(parents=True)
    write_lines(work / "train.jsonl", ({"anchor": s, "positive": d} for _, _, s, d in train))
    write_lines(work / "dev/corpus.jsonl", ({"_id": p, "title": "", "text": d} for p, _, _, d in dev))
    write_lines(work / "dev/queries.jsonl", ({"_id": p, "text": s} for p, _, s, _ in dev))
    with open(work / "dev/qrels.tsv", "w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{p}\t{p}\t1\n" for p, _, _, _ in dev)
    with open(work / "dev/triplets.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("anchor", "positive", "negative"))
        chosen = range(0, len(dev), max(1, len(dev) // 1000))[:1000]
        for row, negative in zip(chosen, hard_negatives(dev, chosen)):
            table.writerow((dev[row][2], dev[row][3], dev[negative][3]))
    shutil.rmtree(options.output, ignore_errors=True)
    work.rename(options.output)
    print(f"{len(entries)} descriptions: {len(train)} pairs to train on, {len(dev)} searches held out")


if __name__ == "__main__":
    main()
