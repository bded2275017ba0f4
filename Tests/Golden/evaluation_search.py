"""Metrics, keys and CSV files of the reference's searching evaluators on fixed embeddings, for EvaluationTests.

Pinned: sentence-transformers 6.2.0, torch 2.15.0, scikit-learn 1.9.1, numpy 2.4.6 (Python 3.11), one thread.
Run:    python Tests/Golden/evaluation_search.py     (writes Tests/Golden/evaluation/search.json, under 300 KB)
A stand-in model looks texts up in a table of embeddings. Exact ties: small whole numbers under the dot product, and rows
of sixteen signs, whose length is 4, under the cosine. Elsewhere texts differ: the reference scores equal embeddings by
products that round otherwise at other places of a matrix, and so breaks their ties one way or the other.
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
    InformationRetrievalEvaluator, NanoBEIREvaluator, ParaphraseMiningEvaluator, RerankingEvaluator)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evaluation")
SIMILARITY = {"cosine": util.cos_sim, "dot": util.dot_score, "euclidean": util.euclidean_sim, "manhattan": util.manhattan_sim}
BARE = {"cos_sim": util.cos_sim, "dot_score": util.dot_score, "euclidean_sim": util.euclidean_sim,
        "manhattan_sim": util.manhattan_sim}
PROMPTS = {"query": "query: ", "document": "doc: ", "third": "third: "}


class Model:
    """Looks texts up; the prompt is part of the key."""

    def __init__(self, table, similarity="cosine"):
        self.table, self.similarity_fn_name, self.similarity = table, similarity, SIMILARITY[similarity]
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *a, **k: None)

    def encode(self, texts, prompt=None, prompt_name=None, truncate_dim=None, convert_to_tensor=False, **kwargs):
        prompt = PROMPTS[prompt_name] if prompt is None and prompt_name else prompt
        rows = np.array([self.table[(prompt or "") + t] for t in texts], dtype=np.float32)
        rows = rows[:, :truncate_dim] if truncate_dim else rows
        return torch.from_numpy(rows) if convert_to_tensor else rows

    def encode_query(self, texts, prompt=None, prompt_name=None, **kwargs):
        return self.encode(texts, prompt=prompt, prompt_name=prompt_name or "query", **kwargs)

    def encode_document(self, texts, prompt=None, prompt_name=None, **kwargs):
        return self.encode(texts, prompt=prompt, prompt_name=prompt_name or "document", **kwargs)


def table(texts, kind, seed, prefixes):
    rng = random.Random(seed)
    make = {"real": lambda: [round(rng.gauss(0, 1), 3) for _ in range(6)],
            "whole": lambda: [float(rng.randint(-2, 2)) for _ in range(5)],
            "signs": lambda: [rng.choice([-1.0, 1.0]) for _ in range(16)]}[kind]
    return {prefix + text: make() for prefix in prefixes for text in texts}


def run(name, evaluator, rows, data, options, similarity="cosine"):
    with tempfile.TemporaryDirectory() as folder:
        model = Model(rows, similarity)
        metrics = evaluator(model, folder, epoch=0.5, steps=10)
        evaluator(model, folder, epoch=1.0, steps=20)
        evaluator(model, folder)
        files = {f: open(os.path.join(folder, f), newline="").read() for f in sorted(os.listdir(folder))}
    primary = evaluator.primary_metric
    if evaluator.name and not primary.startswith(evaluator.name):
        primary = f"{evaluator.name}_{primary}"
    return {"name": name, "class": type(evaluator).__mro__[0 if type(evaluator).__module__ != "__main__" else 1].__name__,
            "embeddings": rows, "data": data, "options": options, "similarity": similarity,
            "metrics": [[k, None if v != v else v] for k, v in metrics.items()], "primary": primary, "files": files}


def renamed(options):
    return {("name" if k == "id" else k): v for k, v in options.items()}


def reranking(cases):
    rng = random.Random(5)
    texts = [f"text {i}" for i in range(24)]
    samples = [{"query": rng.choice(texts), "positive": rng.sample(texts, rng.randint(1, 4)),
                "negative": rng.sample(texts, rng.randint(1, 11))} for _ in range(13)]
    samples[2]["positive"] = samples[2]["positive"][0]
    samples[3]["negative"] = samples[3]["negative"][0]
    samples[4]["positive"] = []
    samples[5]["negative"] = []
    samples[6]["negative"] = samples[6]["positive"] + samples[6]["negative"]
    for name, kind, options, similarity in [
        ("reranking plain", "real", {}, "cosine"),
        ("reranking ties", "whole", {"id": "re", "similarity_fct": "dot_score"}, "cosine"),
        ("reranking cosine ties", "signs", {"id": "re", "at_k": 3}, "dot"),
        ("reranking manhattan", "whole", {"similarity_fct": "manhattan_sim", "at_k": 1}, "cosine"),
        ("reranking euclidean", "real", {"similarity_fct": "euclidean_sim", "truncate_dim": 4, "mrr_at_k": 2,
                                         "use_batched_encoding": False}, "cosine"),
    ]:
        rows = table(texts, kind, len(name), ["query: ", "doc: "])
        kwargs = renamed(options)
        if "similarity_fct" in kwargs:
            kwargs["similarity_fct"] = BARE[kwargs["similarity_fct"]]
        cases.append(run(name, RerankingEvaluator(samples, **kwargs), rows, {"samples": samples}, options, similarity))


def mining(cases):
    rng = random.Random(6)
    repeated = {f"s{i}": f"text {i % 31}" for i in range(36)}
    different = {f"s{i}": f"text {i}" for i in range(36)}
    ids = list(different)
    listed = [[rng.choice(ids), rng.choice(ids)] for _ in range(24)] + [["s1", "nowhere"], ["s32", "s1"], ["s4", "s4"]]
    marks = {}
    for a, b in [("s0", "s31"), ("s5", "s6"), ("s7", "elsewhere"), ("elsewhere", "s8"), ("s9", "s9")]:
        marks.setdefault(a, {})[b] = True
        marks.setdefault(b, {})[a] = True
    marks["s10"] = {"s11": False}
    marks["s11"] = {"s10": False}

    def named(table):
        from collections import defaultdict
        out = defaultdict(lambda: defaultdict(bool))
        for a, row in table.items():
            out[a].update(row)
        return out

    for name, kind, options, given in [
        ("mining plain", "real", {}, ("list",)),
        ("mining ties", "signs", {"id": "pm"}, ("list",)),
        ("mining closure", "real", {"add_transitive_closure": True}, ("list", "dict")),
        ("mining closure ties", "signs", {"id": "pm", "add_transitive_closure": True, "query_chunk_size": 5}, ("dict",)),
        ("mining cut", "real", {"max_pairs": 40, "top_k": 3, "corpus_chunk_size": 7, "query_chunk_size": 4}, ("list",)),
        ("mining dictionary", "real", {"truncate_dim": 3, "top_k": 5}, ("dict", "list")),
        ("mining nothing", "real", {}, ()),
    ]:
        sentences = repeated if kind == "signs" else different
        rows = table(sorted(set(sentences.values())), kind, len(name), [""])
        kwargs = renamed(options)
        if "list" in given:
            kwargs["duplicates_list"] = listed
        if "dict" in given:
            kwargs["duplicates_dict"] = named(marks)
        data = {"sentences": sentences, "list": listed if "list" in given else None,
                "dict": marks if "dict" in given else None}
        cases.append(run(name, ParaphraseMiningEvaluator(sentences, **kwargs), rows, data, options))


def collection(rng, queries, documents, distinct):
    corpus = {f"d{i}": f"text {i % distinct}" for i in range(documents)}
    asked = {f"q{i}": f"text {20 + i}" for i in range(queries)}
    relevant = {q: sorted(rng.sample(sorted(corpus), rng.randint(1, 5))) for q in list(asked)[:-1]}
    return {"corpus": corpus, "queries": asked, "relevant": relevant}


class LocalNanoBEIR(NanoBEIREvaluator):
    """Takes its data sets from memory in place of the hub."""

    def _load_dataset_subset_split(self, subset, split, required_columns):
        data = self.sets[split[4:].lower()]
        if subset == "qrels":
            return [{"query-id": q, "corpus-id": d} for q, ds in data["relevant"].items() for d in ds]
        return [{"_id": i, "text": t} for i, t in data[subset].items()] + [{"_id": "empty", "text": ""}]


def nano(cases):
    rng = random.Random(7)
    whole, real = ({"msmarco": collection(rng, 5, 21, distinct), "nfcorpus": collection(rng, 4, 34, distinct),
                    "scifact": collection(rng, 7, 13, distinct)} for distinct in (17, 40))
    texts = [f"text {i}" for i in range(40)]
    for name, kind, options, similarity in [
        ("nano plain", "real", {"dataset_names": ["msmarco", "nfcorpus"]}, "cosine"),
        ("nano functions", "whole", {"dataset_names": ["SciFact", "NFCorpus", "MSMARCO"], "map_at_k": [5, 100], "ndcg_at_k": [3],
                                     "score_functions": ["dot", "manhattan", "euclidean"]}, "cosine"),
        ("nano truncated", "real", {"dataset_names": ["scifact", "msmarco"], "truncate_dim": 3, "aggregate_key": "avg"}, "dot"),
        ("nano prompts", "real", {"dataset_names": ["scifact", "msmarco"], "query_prompts": "third: ",
                                  "corpus_prompts": {"scifact": "query: ", "msmarco": ""}}, "dot"),
        ("nano median", "real", {"dataset_names": ["scifact", "msmarco", "nfcorpus"], "aggregate_fn": "median",
                                 "score_functions": ["cosine", "dot"], "main_score_function": "dot"}, "cosine"),
        ("nano one", "real", {"dataset_names": ["scifact"], "accuracy_at_k": [2], "mrr_at_k": [1, 4]}, "manhattan"),
    ]:
        rows = table(texts, kind, len(name), ["query: ", "doc: ", "third: ", ""])
        kwargs = dict(options)
        if "score_functions" in kwargs:
            kwargs["score_functions"] = {f: SIMILARITY[f] for f in kwargs["score_functions"]}
        if "aggregate_fn" in kwargs:
            kwargs.update(aggregate_fn=getattr(np, kwargs["aggregate_fn"]), aggregate_key=kwargs["aggregate_fn"])
        sets = LocalNanoBEIR.sets = whole if kind == "whole" else real
        names = {n.lower() for n in options["dataset_names"]}
        data = {n: s for n, s in sets.items() if n in names}
        cases.append(run(name, LocalNanoBEIR(**kwargs), rows, data, options, similarity))


def retrieval(cases):
    repeated, different = (collection(random.Random(8), 9, 60, distinct) for distinct in (17, 60))
    texts = [f"text {i}" for i in range(60)]
    for name, kind, options, similarity in [
        ("retrieval single documents", "whole", {"id": "ir", "corpus_chunk_size": 1, "write_predictions": True}, "dot"),
        ("retrieval prompt names", "real", {"query_prompt_name": "third", "corpus_prompt_name": "query"}, "cosine"),
        ("retrieval prompt and name", "real", {"query_prompt_name": "third", "query_prompt": "doc: "}, "manhattan"),
        ("retrieval deep", "signs", {"corpus_chunk_size": 11, "accuracy_at_k": [70], "write_predictions": True}, "cosine"),
    ]:
        rows = table(texts, kind, len(name), ["query: ", "doc: ", "third: "])
        data = different if kind == "real" else repeated
        relevant = {q: set(d) for q, d in data["relevant"].items()}
        evaluator = InformationRetrievalEvaluator(data["queries"], data["corpus"], relevant, **renamed(options))
        cases.append(run(name, evaluator, rows, data, options, similarity))


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    cases = []
    for part in (retrieval, reranking, mining, nano):
        part(cases)
    with open(os.path.join(OUT, "search.json"), "w", encoding="utf-8") as f:
        json.dump(cases, f)


if __name__ == "__main__":
    main()
