"""The texts that both programs read: the same rows in the same order, as JSON lines.

triplets.jsonl   anchor, positive, negative     the rows of --nli
pairs.jsonl      sentence1, sentence2           the rows of --sts
long.jsonl       anchor, positive               rows of --nli joined until each text fills 256 tokens
longest.jsonl    anchor, positive               the same, 1024 tokens
sentences.jsonl  text                           different texts of --nli, to encode
Without --nli and --sts the texts come from package descriptions (launch/make-package-data.py): synopsis, opening
of its description, opening of another's.
"""
import csv
import json
import pathlib
import re

LONG_WORDS = 260  # a word is at least one token, so these fill 256 tokens with the special ones


class BadData(Exception):
    """A file that cannot serve as data."""


def read_rows(path):
    """The rows of a .csv, .tsv or .jsonl file as dictionaries."""
    path = pathlib.Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix in (".jsonl", ".ndjson"):
                rows = [json.loads(line) for line in file if line.strip()]
            elif path.suffix in (".csv", ".tsv"):
                rows = list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
            else:
                raise BadData(f"{path}: a data set is a .csv, .tsv or .jsonl file")
    except (ValueError, csv.Error) as error:
        raise BadData(f"{path}: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise BadData(f"{path}: holds no rows with named columns")
    return rows


def pick_columns(path, rows, wanted, chosen=None):
    """Rows with the columns `wanted`: those named `chosen`, else of the same names, else the first text columns."""
    first = rows[0]
    texts = [name for name, value in first.items() if isinstance(value, str) and not is_number(value)]
    source = list(chosen) if chosen else list(wanted) if set(wanted) <= set(first) else texts[:len(wanted)]
    if len(source) != len(wanted) or not set(source) <= set(first):
        raise BadData(f"{path}: {len(wanted)} text columns are needed; its columns are {', '.join(map(str, first))}")
    picked = [{new: row.get(old) for new, old in zip(wanted, source)} for row in rows]
    return [row for row in picked if all(isinstance(text, str) and text.strip() for text in row.values())]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def from_descriptions(rows):
    """(triplets, pairs) of the rows of make-package-data.py, as short as the sentences that people train with."""
    openings = [opening(row["positive"]) for row in rows]
    away = len(rows) // 2  # neighbours in the order of names are often parts of one program
    triplets = [
        {"anchor": row["anchor"], "positive": openings[at], "negative": openings[at - away]}
        for at, row in enumerate(rows)]
    # The pairs are other rows than the first triplets.
    pairs = [{"sentence1": row["anchor"], "sentence2": row["positive"]} for row in reversed(triplets)]
    return triplets, pairs


def opening(description, least=8, most=30):
    """The first sentences of a description that have `least` words together, cut at `most`."""
    words = []
    for sentence in re.split(r"(?<=[.!?]) ", description):
        words += sentence.split()
        if len(words) >= least:
            break
    return " ".join(words[:most])


def joined_texts(triplets, count, words=LONG_WORDS):
    """`count` pairs of long texts: anchors joined with anchors, positives with positives, until each has `words`."""
    pairs, at = [], 0
    while len(pairs) < count:
        pair = {}
        for column in ("anchor", "positive"):
            text, length, row = [], 0, at
            while length < words:
                text.append(triplets[row % len(triplets)][column])
                length += len(text[-1].split())
                row += 1
            pair[column] = " ".join(text)
        at = row
        pairs.append(pair)
    return pairs


def repeated(rows, count):
    """The first `count` rows; from the start again where there are fewer."""
    return [rows[at % len(rows)] for at in range(count)]


def different_texts(triplets, count):
    """`count` sentences: each text once, from the start again where there are fewer."""
    texts = list(dict.fromkeys(text for row in triplets for text in row.values()))
    return [{"text": text} for text in repeated(texts, count)]


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(path.name + ".tmp")
    with open(work, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    work.rename(path)
