"""Metrics, keys and CSV files of the reference's evaluators on fixed embeddings, for EvaluationTests.

Pinned: sentence-transformers 6.2.0, torch 2.15.0, scipy 1.17.1, numpy 2.4.6 (Python 3.11), one thread.
Run:    python Tests/Golden/evaluation.py        (writes Tests/Golden/evaluation/cases.json, under 300 KB)
A stand-in model looks texts up in a table of embeddings; small whole numbers make exact ties
(but not of cosines, whose ties single-precision rounding breaks one way or the other).
"""
import json
import os
import random
import sys
import tempfile
from types import SimpleNamespace

sys.path.pop(0)  # scripts of this folder are named as packages are

import numpy as np
import torch
from sentence_transformers import util
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator, InformationRetrievalEvaluator, TripletEvaluator)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evaluation")
SIMILARITY = {"cosine": util.cos_sim, "dot": util.dot_score, "euclidean": util.euclidean_sim, "manhattan": util.manhattan_sim}


class Model:
    """Looks texts up; queries and documents have prompts that are part of the key."""

    def __init__(self, table, similarity="cosine"):
        self.table, self.similarity_fn_name, self.similarity = table, similarity, SIMILARITY[similarity]
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *a, **k: None)

    def encode(self, texts, prompt=None, truncate_dim=None, convert_to_tensor=False, prompt_name=None, **kwargs):
        rows = np.array([self.table[(prompt or "") + t] for t in texts], dtype=np.float32)
        rows = rows[:, :truncate_dim] if truncate_dim else rows
        return torch.from_numpy(rows) if convert_to_tensor else rows

    def encode_query(self, texts, prompt=None, **kwargs):
        return self.encode(texts, prompt="query: " if prompt is None else prompt, **kwargs)

    def encode_document(self, texts, prompt=None, **kwargs):
        return self.encode(texts, prompt="doc: " if prompt is None else prompt, **kwargs)


def table(texts, width, whole, seed):
    rng = random.Random(seed)
    make = (lambda: float(rng.randint(-2, 2))) if whole else (lambda: float(np.float32(rng.gauss(0, 1))))
    rows = {}
    for prefix in ("", "query: ", "doc: ", "other: "):
        for text in texts:
            rows[prefix + text] = [make() for _ in range(width)]
    return rows


def run(name, evaluator, rows, data, options, similarity="cosine"):
    with tempfile.TemporaryDirectory() as folder:
        model = Model(rows, similarity)
        metrics = evaluator(model, folder, epoch=0.5, steps=10)
        evaluator(model, folder, epoch=1.0, steps=20)
        evaluator(model, folder)
        files = {f: open(os.path.join(folder, f), newline="").read() for f in sorted(os.listdir(folder))}
    return {"name": name, "class": type(evaluator).__name__, "embeddings": rows, "data": data, "options": options,
            "similarity": similarity, "metrics": [[k, None if v != v else v] for k, v in metrics.items()],
            "primary": evaluator.primary_metric, "files": files}


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    cases = []
    texts = [f"text {i}" for i in range(12)]
    rng = random.Random(3)
    triplets = [[rng.choice(texts) for _ in range(3)] for _ in range(23)]
    triplets[0][2] = triplets[0][1]
    for name, whole, options, similarity in [
        ("triplet plain", False, {}, "cosine"),
        ("triplet ties", True, {"id": "dev", "similarity_fn_names": ["cosine", "dot", "euclidean", "manhattan"]}, "cosine"),
        ("triplet margin", True, {"id": "dev", "margin": 1.0, "similarity_fn_names": ["dot"]}, "cosine"),
        ("triplet margins", True, {"margin": {"dot": 2.0, "manhattan": 0.5}, "similarity_fn_names": ["dot", "manhattan"],
                                  "main_similarity_function": "manhattan"}, "cosine"),
        ("triplet truncated", False, {"id": "t", "truncate_dim": 3}, "euclidean"),
        ("triplet main", False, {"main_similarity_function": "manhattan"}, "dot"),
    ]:
        rows = table(texts, 6, whole, len(name))
        kwargs = {("name" if k == "id" else k): v for k, v in options.items()}
        a, p, n = (list(c) for c in zip(*triplets))
        cases.append(run(name, TripletEvaluator(a, p, n, **kwargs), rows, triplets, options, similarity))

    pairs = [[rng.choice(texts), rng.choice(texts), rng.choice([0.0, 0.5, 1.0, 2.5, 4.0, 5.0])] for _ in range(31)]
    constant = [[a, b, 1.0] for a, b, _ in pairs]
    two = [[texts[0], texts[1], 1.0], [texts[2], texts[3], 3.0]]
    for name, whole, data, options, similarity in [
        ("similarity plain", False, pairs, {}, "cosine"),
        ("similarity ties", True, pairs, {"id": "sts", "similarity_fn_names": ["euclidean", "manhattan", "dot"]}, "cosine"),
        ("similarity main", False, pairs, {"id": "sts", "main_similarity": "dot"}, "cosine"),
        ("similarity constant", False, constant, {}, "cosine"),
        ("similarity two", False, two, {"truncate_dim": 4}, "manhattan"),
    ]:
        rows = table(texts, 6, whole, len(name))
        kwargs = {("name" if k == "id" else k): v for k, v in options.items()}
        a, b, s = (list(c) for c in zip(*data))
        cases.append(run(name, EmbeddingSimilarityEvaluator(a, b, s, **kwargs), rows, data, options, similarity))

    documents = {f"d{i}": f"text {i % 17}" for i in range(40)}
    queries = {f"q{i}": f"text {20 + i}" for i in range(9)}
    alltexts = [f"text {i}" for i in range(30)]
    relevant = {q: sorted(rng.sample(sorted(documents), rng.randint(1, 6))) for q in list(queries)[:-1]}
    for name, whole, options, similarity in [
        ("retrieval plain", False, {}, "cosine"),
        ("retrieval ties", True, {"id": "ir"}, "dot"),
        ("retrieval chunks", True, {"id": "ir", "corpus_chunk_size": 7, "map_at_k": [5, 100], "mrr_at_k": [3, 10],
                                    "ndcg_at_k": [5, 10], "accuracy_at_k": [1, 2], "precision_recall_at_k": [4]}, "dot"),
        ("retrieval euclidean", False, {"truncate_dim": 4, "map_at_k": [20]}, "euclidean"),
        ("retrieval functions", True, {"id": "several", "score_functions": ["manhattan", "cosine", "dot"]}, "cosine"),
        ("retrieval main", False, {"score_functions": ["cosine", "dot"], "main_score_function": "cosine"}, "cosine"),
        ("retrieval prompts", False, {"query_prompt": "other: ", "corpus_prompt": "query: "}, "cosine"),
    ]:
        rows = table(alltexts, 5, whole, len(name))
        kwargs = {("name" if k == "id" else k): v for k, v in options.items()}
        if "score_functions" in kwargs:
            kwargs["score_functions"] = {f: SIMILARITY[f] for f in kwargs["score_functions"]}
        evaluator = InformationRetrievalEvaluator(queries, documents, {q: set(d) for q, d in relevant.items()}, **kwargs)
        data = {"queries": queries, "corpus": documents, "relevant": relevant}
        cases.append(run(name, evaluator, rows, data, options, similarity))
    with open(os.path.join(OUT, "cases.json"), "w", encoding="utf-8") as f:
        json.dump(cases, f)


if __name__ == "__main__":
    main()
