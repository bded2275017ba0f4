"""What the reference's mine_hard_negatives returns and prints on a tiny model, for EvaluationTests.

Pinned: sentence-transformers 6.2.0, transformers 5.23.0, torch 2.15.0, datasets 4.x (Python 3.11), one thread.
Run:    python Tests/Golden/mining.py        (writes Tests/Golden/mining/cases.json, about 150 KB)
The model is that of Tests/Golden/training/bert-sgd. A case is kept only if no two scores that decide anything lie closer
than GAP, so that rounding cannot change which texts are chosen. Texts stand as numbers into one list.
"""
import contextlib
import io
import json
import os
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

HERE = os.path.dirname(os.path.abspath(__file__))
GAP = 4e-7
SYLLABLES = [c + v for c in "bcdfghjklmnp" for v in "aeiou"]


def texts(rng, count, lengths=(3, 9)):
    words = [a + b for a in ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki"] for b in ["ba", "ce", "di", "fo", "gu", "ha"]]
    made = []
    while len(made) < count:
        text = " ".join(rng.choice(words) for _ in range(rng.randint(*lengths)))
        if text not in made:
            made.append(text)
    return made


def variant(rng, text, share=0.4):
    words = text.split()
    for i in range(len(words)):
        if rng.random() < share:
            words[i] = rng.choice(["baba", "cece", "difo", "guha", "jeki", "hace", "fogu"])
    return " ".join(words)


def smallest_gap(model, queries, documents, prompts):
    """The smallest distance between two different documents' scores of one query, beyond equal texts."""
    q = model.encode_query(queries, normalize_embeddings=True, convert_to_tensor=True, prompt=prompts[0])
    d = model.encode_document(documents, normalize_embeddings=True, convert_to_tensor=True, prompt=prompts[1])
    scores = model.similarity(q.double(), d.double()).sort(dim=1).values
    return (scores[:, 1:] - scores[:, :-1]).min().item()


def main():
    torch.set_num_threads(1)
    rng = random.Random(20)
    model = SentenceTransformer(os.path.join(HERE, "training", "bert-sgd", "model"), device="cpu")
    anchors = texts(rng, 14)
    rows = [(a, variant(rng, a)) for a in anchors]
    several = list(rows)  # queries with two and three positives, far from their first row, and one repeated row
    several += [(anchors[3], variant(rng, anchors[3])), (anchors[0], variant(rng, anchors[0])), (anchors[3], rows[8][1]),
                (anchors[5], variant(rng, anchors[5])), rows[2]]
    corpus = texts(rng, 10) + [rows[4][1]]
    table = []

    def number(text):
        if text not in table:
            table.append(text)
        return table.index(text)

    def spelled(value):
        if isinstance(value, str):
            return {"t": number(value)}
        return [spelled(v) for v in value] if isinstance(value, list) else value

    cases = []
    for name, data, extra, similarity, options in [
        ("triplet", rows, None, "cosine", {}),
        ("triplet several", several, None, "cosine", {"num_negatives": 2}),
        ("triplet several scores", several, None, "cosine", {"num_negatives": 2, "output_scores": True}),
        ("triplet corpus", several, corpus, "cosine", {"num_negatives": 4, "output_scores": True}),
        ("tuple", several, None, "cosine", {"output_format": "n-tuple"}),
        ("tuple scores", several, corpus, "cosine", {"output_format": "n-tuple", "output_scores": True}),
        ("tuple scores, older name", rows, None, "cosine", {"output_format": "n-tuple-scores", "num_negatives": 1}),
        ("pairs", several, None, "cosine", {"output_format": "labeled-pair"}),
        ("pairs scores", several, corpus, "cosine", {"output_format": "labeled-pair", "output_scores": True}),
        ("lists", several, None, "cosine", {"output_format": "labeled-list"}),
        ("lists scores", several, corpus, "cosine", {"output_format": "labeled-list", "output_scores": True}),
        ("absolute margin", several, corpus, "cosine", {"absolute_margin": 0.02, "output_scores": True}),
        ("relative margin", several, corpus, "cosine", {"relative_margin": 0.05, "output_format": "n-tuple"}),
        ("both margins", several, None, "cosine",
         {"absolute_margin": 0.01, "relative_margin": 0.03, "output_format": "labeled-list", "num_negatives": 2}),
        ("maximum", several, corpus, "cosine", {"max_score": 0.9, "output_scores": True}),
        ("minimum", rows, None, "cosine", {"min_score": 0.95, "output_scores": True}),
        ("range", several, corpus, "cosine", {"range_min": 2, "range_max": 6, "num_negatives": 4}),
        ("range default", several, corpus, "cosine", {"range_min": 3, "output_scores": True}),
        ("range and margin", several, corpus, "cosine",
         {"range_min": 1, "range_max": 9, "relative_margin": 0.01, "max_score": 0.97, "num_negatives": 5,
          "output_format": "labeled-pair"}),
        ("beyond the corpus", rows[:3], None, "cosine", {"num_negatives": 5}),
        ("beyond the corpus, tuples", rows[:3], None, "cosine", {"num_negatives": 5, "output_format": "n-tuple"}),
        ("positives too", several, corpus, "cosine",
         {"include_positives": True, "output_scores": True, "num_negatives": 4}),
        ("prompts", rows, corpus, "cosine", {"query_prompt": "baba ce ", "corpus_prompt": "jeki ", "output_scores": True}),
        ("euclidean", several, None, "euclidean", {"output_scores": True, "relative_margin": 0.02}),
        ("manhattan", several, corpus, "manhattan", {"output_scores": True, "absolute_margin": 0.1}),
        ("dot", several, corpus, "dot", {"output_scores": True}),
        ("columns", [(b, a) for a, b in rows], None, "cosine",
         {"anchor_column_name": "text_b", "positive_column_name": "text_a"}),
    ]:
        model.similarity_fn_name = similarity
        names = ["text_a", "text_b"]
        dataset = Dataset.from_dict({n: [row[i] for row in data] for i, n in enumerate(names)})
        flip = options.get("anchor_column_name") == "text_b"
        queries = list(dict.fromkeys(row[1 if flip else 0] for row in data))
        documents = list(dict.fromkeys((extra or []) + [row[0 if flip else 1] for row in data]))
        gap = smallest_gap(model, queries, documents, (options.get("query_prompt"), options.get("corpus_prompt")))
        assert gap > GAP, f"{name}: scores lie {gap} apart"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            mined = mine_hard_negatives(dataset, model, corpus=extra, batch_size=8, **options)
        cases.append({
            "name": name, "similarity": similarity, "options": options, "corpus": extra and spelled(extra),
            "rows": [spelled(list(row)) for row in data], "columns": mined.column_names,
            "mined": [[spelled(row[c]) for c in mined.column_names] for row in mined],
            "printed": printed.getvalue().splitlines(),
        })
    os.makedirs(os.path.join(HERE, "mining"), exist_ok=True)
    with open(os.path.join(HERE, "mining", "cases.json"), "w", encoding="utf-8") as f:
        json.dump({"texts": table, "cases": cases}, f)


if __name__ == "__main__":
    main()
