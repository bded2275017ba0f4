"""Metrics, keys and CSV files of the reference's evaluators on fixed embeddings, for EvaluationTests.

Pinned: sentence-transformers 6.2.0, torch 2.15.0, scipy 1.17.1, scikit-learn 1.9.1, numpy 2.4.6 (Python 3.11), one thread.
Run:    python Tests/Golden/evaluation.py        (writes Tests/Golden/evaluation/*.json, under 400 KB)
A stand-in model looks texts up in a table of embeddings; small whole numbers make exact ties
(but not of cosines, whose ties single-precision rounding breaks one way or the other).
"""
import contextlib
import io
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
    BinaryClassificationEvaluator, EmbeddingSimilarityEvaluator, InformationRetrievalEvaluator, LabelAccuracyEvaluator,
    MSEEvaluator, MSEEvaluatorFromDataFrame, TranslationEvaluator, TripletEvaluator)
from sentence_transformers.sentence_transformer.losses import SoftmaxLoss
from sentence_transformers.sentence_transformer.readers import InputExample

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evaluation")
SIMILARITY = {"cosine": util.cos_sim, "dot": util.dot_score, "euclidean": util.euclidean_sim, "manhattan": util.manhattan_sim}


class Model(torch.nn.Module):
    """Looks texts up; queries and documents have prompts that are part of the key."""

    device = torch.device("cpu")

    def __init__(self, table, similarity="cosine"):
        super().__init__()
        self.table, self.similarity_fn_name, self.similarity = table, similarity, SIMILARITY[similarity]
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *a, **k: None)

    def encode(self, texts, prompt=None, truncate_dim=None, convert_to_tensor=False, prompt_name=None, precision=None,
               normalize_embeddings=False, convert_to_numpy=True, **kwargs):
        rows = np.array([self.table[(prompt or "") + t] for t in texts], dtype=np.float32)
        rows = rows[:, :truncate_dim] if truncate_dim else rows
        if normalize_embeddings:
            rows = torch.nn.functional.normalize(torch.from_numpy(rows), p=2, dim=1).numpy()
        if precision and precision != "float32":
            rows = util.quantize_embeddings(rows, precision=precision)
        if not convert_to_numpy and not convert_to_tensor:
            return list(torch.from_numpy(rows))
        return torch.from_numpy(rows) if convert_to_tensor else rows

    def forward(self, features):  # of the classifier's evaluation
        return {"sentence_embedding": features["rows"]}

    def smart_batching_collate(self, batch):
        columns = zip(*(example.texts for example in batch))
        rows = [{"rows": torch.from_numpy(self.encode(list(column)))} for column in columns]
        return rows, torch.tensor([example.label for example in batch])

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


def run(name, evaluator, rows, data, options, similarity="cosine", **more):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        return record(name, evaluator, rows, data, options, similarity) | more | {"printed": printed.getvalue()}


def record(name, evaluator, rows, data, options, similarity):
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
    cases += binary() + precisions() + distances() + translations() + accuracies()
    with open(os.path.join(OUT, "cases.json"), "w", encoding="utf-8") as f:
        json.dump(cases, f)
    with open(os.path.join(OUT, "quantization.json"), "w", encoding="utf-8") as f:
        json.dump(quantizations(), f)


def named(options):
    return {("name" if k == "id" else k): v for k, v in options.items()}


def plain(rows):
    """Without the rows of texts that have a prompt."""
    return {text: row for text, row in rows.items() if ": " not in text}


def binary():
    """Pairs come twice and more with different labels: equal scores that no threshold can part."""
    cases = []
    rng = random.Random(5)
    texts = [f"text {i}" for i in range(9)]
    pairs = [[rng.choice(texts), rng.choice(texts)] for _ in range(14)]
    mixed = [[*rng.choice(pairs), rng.randint(0, 1)] for _ in range(40)]
    functions = ["dot", "euclidean", "manhattan"]
    for name, whole, data, options, similarity in [
        ("binary plain", False, mixed, {}, "cosine"),
        ("binary ties", True, mixed, {"id": "dev", "similarity_fn_names": functions}, "cosine"),
        ("binary truncated", True, mixed, {"id": "dev", "truncate_dim": 2, "similarity_fn_names": ["manhattan"]}, "dot"),
        ("binary functions", False, mixed[:12], {"similarity_fn_names": ["cosine", "dot", "euclidean"]}, "cosine"),
        ("binary all similar", True, [[a, b, 1] for a, b in pairs], {"similarity_fn_names": functions}, "cosine"),
        ("binary none similar", True, [[a, b, 0] for a, b in pairs], {"similarity_fn_names": functions}, "cosine"),
        ("binary few similar", True, [[a, b, int(i == 7)] for i, (a, b) in enumerate(pairs)],
         {"similarity_fn_names": functions}, "cosine"),
        ("binary one", False, [[texts[0], texts[1], 1]], {}, "euclidean"),
    ]:
        rows = plain(table(texts, 4, whole, len(name)))
        a, b, labels = (list(c) for c in zip(*data))
        evaluator = BinaryClassificationEvaluator(a, b, labels, **named(options))
        cases.append(run(name, evaluator, rows, data, options, similarity))
    return cases


def precisions():
    """Rows to be quantized have whole lengths, so that unit vectors have the same bits whoever computes them."""
    rng = random.Random(6)
    shapes = [[1, 1, 1, 1, 0, 0], [3, 1, 1, 1, 2, 0], [4, 2, 2, 1, 0, 0], [1, 2, 2, 0, 0, 0], [5, 1, 1, 3, 0, 0],
              [2, 4, 5, 2, 0, 0]]
    texts = [f"text {i}" for i in range(11)]
    rows = {text: [float(v * rng.choice([-1, 1])) for v in rng.sample(shapes[i % 6], 6)] for i, text in enumerate(texts)}
    data = [[rng.choice(texts), rng.choice(texts), rng.randint(0, 10) / 2] for _ in range(25)]
    cases = []
    for precision, options in [
        ("float32", {"id": "sts", "similarity_fn_names": ["cosine", "dot", "euclidean", "manhattan"]}),
        ("int8", {"similarity_fn_names": ["cosine", "dot", "euclidean", "manhattan"]}),
        ("uint8", {"id": "sts", "similarity_fn_names": ["euclidean", "dot"], "main_similarity": "dot"}),
        ("binary", {"similarity_fn_names": ["dot", "euclidean", "manhattan"]}),
        ("ubinary", {"id": "sts", "truncate_dim": 3, "similarity_fn_names": ["manhattan"]}),
    ]:
        options = options | {"precision": precision}
        a, b, s = (list(c) for c in zip(*data))
        evaluator = EmbeddingSimilarityEvaluator(a, b, s, **named(options))
        own = plain(table(texts, 6, False, 7)) if precision == "float32" else rows
        cases.append(run("similarity " + precision, evaluator, own, data, options))
    return cases


def distances():
    """Small values: the reference rounds to single precision, where large errors have few digits after the point."""
    rng = random.Random(8)
    texts = [f"text {i}" for i in range(8)]

    def tables(whole, seed):
        scale = 1.0 if whole else 0.0625
        make = lambda seed: {t: [float(np.float32(scale * v)) for v in r] for t, r in table(texts, 6, whole, seed).items()}
        return plain(make(seed)), plain(make(seed + 100))

    cases = []
    data = [[rng.choice(texts), rng.choice(texts)] for _ in range(10)]
    for name, whole, data, options in [
        ("mse plain", False, data, {}), ("mse whole", True, data, {"id": "en-de"}),
        ("mse truncated", False, data, {"id": "t", "truncate_dim": 3}), ("mse one column", False, [[t] for t in texts], {}),
    ]:
        rows, teacher = tables(whole, len(name))
        evaluator = MSEEvaluator([r[0] for r in data], [r[-1] for r in data], Model(teacher), **named(options))
        cases.append(run(name, evaluator, rows, data, options, teacher=teacher))
    languages = ["en", "de", "fr"]
    frame = [[rng.choice(texts) if rng.random() < 0.8 else rng.choice(["", " ", "\t\u2003"]) for _ in languages]
             for _ in range(14)]
    for name, combinations, options in [
        ("frame plain", [["en", "de"]], {}),
        ("frame pairs", [["en", "de"], ["en", "fr"], ["de", "en"], ["fr", "fr"]], {"id": "talks", "truncate_dim": 5}),
    ]:
        rows, teacher = tables(False, len(name))
        frame_rows = [dict(zip(languages, row)) for row in frame]
        evaluator = MSEEvaluatorFromDataFrame(
            frame_rows, Model(teacher), [tuple(c) for c in combinations], **named(options))
        cases.append(run(name, evaluator, rows, frame, options | {"combinations": combinations}, teacher=teacher))
    return cases


def translations():
    """Repeated texts, texts of equal embeddings, and whole numbers that make other ties."""
    rng = random.Random(9)
    cases = []
    for name, whole, count, options in [
        ("translation plain", False, 9, {}), ("translation ties", True, 14, {"id": "en-de"}),
        ("translation truncated", False, 9, {"truncate_dim": 2}),
        ("translation wrong", False, 12, {"id": "print", "print_wrong_matches": True}),
    ]:
        sources = [f"source {rng.randint(0, count)}" for _ in range(count)]
        targets = [f"target {s.split()[1]}" if rng.random() < 0.7 else f"target {rng.randint(0, count)}" for s in sources]
        rows = table(sorted({*sources, *targets}), 3, whole, len(name))
        rows = {k: v if any(v) else [1.0] * 3 for k, v in plain(rows).items()}
        for text in list(rows)[::2]:  # a translation near its source, to a multiple of its length
            if text.startswith("source") and "target" + text[6:] in rows:
                rows["target" + text[6:]] = [2 * v for v in rows[text]]
        twin = sorted({*targets})
        rows[twin[1]] = rows[twin[0]]
        evaluator = TranslationEvaluator(sources, targets, **named(options))
        cases.append(run(name, evaluator, rows, [list(p) for p in zip(sources, targets)], options))
    return cases


def accuracies():
    rng = random.Random(10)
    cases = []
    texts = [f"text {i}" for i in range(9)]
    for name, whole, labels, options, kwargs in [
        ("accuracy plain", False, 3, {}, {}),
        ("accuracy ties", True, 4, {"id": "nli", "concatenation_sent_multiplication": True}, {}),
        ("accuracy difference", True, 2, {"concatenation_sent_rep": False}, {"bias": False}),
    ]:
        rows = plain(table(texts, 4, whole, len(name)))
        data = [[rng.choice(texts), rng.choice(texts), rng.randrange(labels)] for _ in range(29)]
        model = Model(rows)
        flags = {k: v for k, v in options.items() if k != "id"}
        loss = SoftmaxLoss(model, 4, labels, **flags)
        with torch.no_grad():
            for tensor in (loss.classifier.weight, loss.classifier.bias):
                values = [float(rng.randint(-1, 1)) if whole else rng.gauss(0, 1) for _ in range(tensor.numel())]
                tensor.copy_(torch.tensor(values).reshape(tensor.shape))
            if kwargs.get("bias") is False:
                loss.classifier.bias.zero_()
        head = {"weight": loss.classifier.weight.tolist()}
        if kwargs.get("bias", True):
            head["bias"] = loss.classifier.bias.tolist()
        examples = [InputExample(texts=[a, b], label=label) for a, b, label in data]
        loader = torch.utils.data.DataLoader(examples, batch_size=8)
        evaluator = LabelAccuracyEvaluator(loader, name=options.get("id", ""), softmax_model=loss)
        cases.append(run(name, evaluator, rows, data, options, classifier=head))
    return cases


def quantizations():
    """A constant column, negative zeros, and widths that fill no byte."""
    cases = []
    for width in (1, 8, 11):
        rng = random.Random(width)
        rows = np.array([[rng.gauss(0, 1) for _ in range(width)] for _ in range(7)], dtype=np.float32)
        rows[2] = 0.0
        rows[3] = -0.0
        rows[:, width // 2] = 0.5 if width > 1 else rows[:, 0]
        rows[5] = np.round(rows[5])
        cases.append({"width": width, "rows": rows.ravel().tolist()} | {
            p: util.quantize_embeddings(rows, precision=p).ravel().tolist() for p in ("int8", "uint8", "binary", "ubinary")})
    return cases


if __name__ == "__main__":
    main()
