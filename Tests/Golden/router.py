#!/usr/bin/env python3
"""Goldens of models with a Router: tiny ones saved by the reference, their embeddings by task, eight steps of training.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread.
    python router.py        writes Tests/Golden/router/ (reads the rows of families.py)
    asymmetric   queries by a StaticEmbedding and a Dense, documents by a BERT and its pooling; Normalize for both
    late         a BERT and its pooling, then an Asym of the older layout with a Dense for either side, then Normalize
    shared       one BERT for both sides, with a Dense for documents only; tasks by route_mappings
Each folder holds
    model/                 as sentence-transformers saves it (late: as version 2 did)
    expected.safetensors   embedding.<task>: of the first anchors by this task ("none": by the default route), and
                           end.<folder>/<tensor>: the weights after eight steps of plain gradient descent in float64, where
                           they have moved
    expected.json          learning_rate, router_mapping, the loss and gradient norm of each step; movement: how far the
                           weights went, relative to their size
"""
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import torch
from families import (
    BATCH, HERE as FAMILIES, LIMIT, MOVEMENT, VOCABULARY, descend, randomise, saved_tensors, write_tokenizer)
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.sentence_transformer.modules import (
    Dense, Normalize, Pooling, Router, StaticEmbedding, Transformer)
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent / "router"
WIDTH = 12


def bert(folder):
    model = BertModel(BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=LIMIT, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    randomise(model, 1.0)
    model.save_pretrained(folder)
    write_tokenizer(folder, 0)
    return Transformer(folder)


def asymmetric(folder):
    transformer = bert(folder)
    static = StaticEmbedding(Tokenizer.from_file(folder + "/tokenizer.json"), embedding_dim=10)
    router = Router.for_query_document([static, Dense(10, WIDTH)], [transformer, Pooling(WIDTH, "mean")])
    return [router, Normalize()], {"anchor": "query", "positive": "document"}


def late(folder):
    router = Router({"query": [Dense(WIDTH, 12)], "doc": [Dense(WIDTH, 12)]})
    return [bert(folder), Pooling(WIDTH, "mean"), router, Normalize()], {"anchor": "query", "positive": "doc"}


def shared(folder):
    transformer, pooling = bert(folder), Pooling(WIDTH, "mean")
    router = Router({"query": [transformer, pooling], "document": [transformer, pooling, Dense(WIDTH, WIDTH)]},
                    route_mappings={("question", "text"): "query", ("passage", None): "document"})
    return [router, Normalize()], {"anchor": "question", "positive": "passage"}


def as_asym(folder):
    """The folder as the Asym of version 2 was saved."""
    (folder / "2_Router").rename(folder / "2_Asym")
    config = json.loads((folder / "2_Asym" / "router_config.json").read_text())
    (folder / "2_Asym" / "router_config.json").unlink()
    config["types"] = {k: "sentence_transformers.models.Dense" for k in config["types"]}
    config["parameters"] = {"allow_empty_key": True}
    (folder / "2_Asym" / "config.json").write_text(json.dumps(config, indent=4))
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].split(".")[-1].replace("Router", "Asym")
        module["path"] = module["path"].replace("2_Router", "2_Asym")
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))


def train(folder, mapping, rows, rate):
    model = SentenceTransformer(str(folder), device="cpu").double().train()
    loss = losses.MultipleNegativesRankingLoss(model)

    def loss_of(batch):
        return loss([dict(model.preprocess([r[column] for r in batch], task=task), task=task)
                     for column, task in mapping.items()], None)

    return model, descend(model.parameters(), rows, rate, loss_of)


def make(name, parts, rows):
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        modules, mapping = parts(folder)
        SentenceTransformer(modules=modules, device="cpu").save(str(out / "model"), create_model_card=False)
    if name == "late":
        as_asym(out / "model")
    model = SentenceTransformer(str(out / "model"), device="cpu")
    texts = [r["anchor"] for r in rows[:BATCH]]
    golden = {"embedding." + (task or "none"): model.encode(texts, task=task, convert_to_tensor=True).contiguous()
              for task in [*mapping.values(), None]}
    start, rate = saved_tensors(model), 0.3
    size = sum(float(t.double().square().sum()) for t in start.values()) ** 0.5
    for _ in range(8):
        model, steps = train(out / "model", mapping, rows, rate)
        end = saved_tensors(model)
        moved = sum(float((end[n] - start[n]).double().square().sum()) for n in end) ** 0.5 / size
        if 0.01 <= moved <= 0.0135:
            break
        rate = float(f"{rate * MOVEMENT / moved:.2g}")
    else:
        raise SystemExit(f"{name}: no rate moves the weights by 1 to 1.35 %")
    golden |= {"end." + n.replace("2_Router", "2_Asym"): t.contiguous() for n, t in end.items()
               if not torch.equal(t, start[n])}
    save_file(golden, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(
        {"learning_rate": rate, "router_mapping": mapping, "steps": steps, "movement": moved}, indent=1) + "\n")
    print(f"{name:12} loss {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}, movement {moved:.4f} at rate {rate}")


if __name__ == "__main__":
    rows = [json.loads(line) for line in (FAMILIES / "rows" / "pairs.jsonl").read_text().splitlines()]
    for build in (asymmetric, late, shared):
        make(build.__name__, build, rows)
