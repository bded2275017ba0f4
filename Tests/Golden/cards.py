#!/usr/bin/env python3
"""Goldens of model cards: the README.md that the reference writes after short runs, and what cards say of each loss.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, datasets 5.2.0, peft of the same environment, one thread, no network.
    python cards.py [FOLDER [RUN ...]]   writes Tests/Golden/cards/, or FOLDER; all runs, or these
A run is cards/<name>/run.json, a configuration of Tutti whose paths are relative to Tests/Golden; this script trains the same
by the reference and writes
    <name>/card.md          its card without the YAML, with times and its own versions in it
    <name>/metadata.json    the YAML as JSON; of the drawn examples, their number
and for all of them
    losses.json             by class name: the options as a configuration gives them, the card's configuration, the citation
    tensors.txt             blocks of numbers, then how a tensor of them is printed
"""
import json
import os
import pathlib
import random
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py
import torch
import yaml
from datasets import Dataset, DatasetDict
from peft import LoraConfig
from sentence_transformers import (
    SentenceTransformer, SentenceTransformerModelCardData, SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments, losses)
from sentence_transformers.sentence_transformer import evaluation
from torch.utils.data import BatchSampler, SequentialSampler

torch.set_num_threads(1)
GOLDEN = pathlib.Path(__file__).resolve().parent
RUNS = GOLDEN / "cards"


def read(path):
    return [json.loads(line) for line in (GOLDEN / path).read_text(encoding="utf-8").splitlines()]


def table(entry):
    rows = read(entry["path"])
    data = Dataset.from_list([{c: row[c] for c in entry.get("columns", rows[0])} for row in rows])
    return data.to_iterable_dataset() if entry.get("streaming") else data


def tables(entry):
    if entry is None:
        return None
    return table(entry) if "path" in entry else DatasetDict({name: table(e) for name, e in entry.items()})


def loss_of(model, entry):
    options = dict(entry)
    if "loss" in options:
        options["loss"] = loss_of(model, options["loss"])
    if options["name"] == "SoftmaxLoss":
        options["sentence_embedding_dimension"] = model.get_sentence_embedding_dimension()
    return getattr(losses, options.pop("name"))(model, **options)


def sequential(dataset, batch_size, drop_last, **_):
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def local_nano(folder):
    """Where NanoBEIREvaluator finds its data sets in place of the hub."""
    def load(self, subset, split, required_columns):
        if subset == "qrels":
            lines = (GOLDEN / folder / split / "qrels.tsv").read_text().splitlines()[1:]
            return [dict(zip(("query-id", "corpus-id"), line.split("\t"))) for line in lines]
        return read(f"{folder}/{split}/{subset}.jsonl")
    return load


def evaluator(entry):
    if entry["name"] == "NanoBEIREvaluator":
        evaluation.NanoBEIREvaluator._load_dataset_subset_split = local_nano(entry["path"])
        return evaluation.NanoBEIREvaluator(dataset_names=entry["dataset_names"], dataset_id=entry["path"])
    name = entry["id"]
    if entry["name"] == "InformationRetrievalEvaluator":
        relevant = {}
        for line in (GOLDEN / entry["qrels"]).read_text().splitlines()[1:]:
            query, document, _ = line.split("\t")
            relevant.setdefault(query, set()).add(document)
        texts = [{row["_id"]: row["text"] for row in read(entry[key])} for key in ("queries", "corpus")]
        return evaluation.InformationRetrievalEvaluator(*texts, relevant, name=name)
    columns = list(zip(*[[row[c] for c in entry["columns"]] for row in read(entry["path"])]))
    more = {"truncate_dim": entry["truncate_dim"]} if "truncate_dim" in entry else {}
    return getattr(evaluation, entry["name"])(*map(list, columns), name=name, **more)


def train(run, folder):
    described = dict(run.get("model_card", {}))
    model = SentenceTransformer(
        str(GOLDEN / run["model"]), device="cpu", local_files_only=True,
        model_card_data=SentenceTransformerModelCardData(local_files_only=True, **described))
    if "lora" in run:
        model.add_adapter(LoraConfig(**run["lora"]))
    loss = run["loss"]
    loss = loss_of(model, loss) if "name" in loss else {name: loss_of(model, e) for name, e in loss.items()}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=folder, batch_sampler=sequential, report_to=[], disable_tqdm=True, **run["args"])
    judges = [evaluator(e) for e in run.get("evaluators", [])]
    random.seed(1)
    SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=tables(run["train_dataset"]),
        eval_dataset=tables(run.get("eval_dataset")), loss=loss, evaluator=judges or None).train()
    for entry in run.get("test_evaluators", []):
        evaluator(entry)(model)
    model.save_pretrained(folder + "/final")
    return pathlib.Path(folder + "/final/README.md").read_text(encoding="utf-8")


def describe_losses():
    """Every loss of the reference, with its defaults and with other options."""
    model = SentenceTransformer(str(GOLDEN / "training/bert-sgd/model"), device="cpu", local_files_only=True)
    inner = {"name": "MultipleNegativesRankingLoss", "gather_across_devices": True}
    plain = ["AnglELoss", "BatchAllTripletLoss", "BatchHardSoftMarginTripletLoss", "BatchHardTripletLoss",
             "BatchSemiHardTripletLoss", "CoSENTLoss", "ContrastiveLoss", "ContrastiveTensionLoss",
             "ContrastiveTensionLossInBatchNegatives", "CosineSimilarityLoss", "DistillKLDivLoss", "EmbedDistillLoss",
             "GlobalOrthogonalRegularizationLoss", "MSELoss", "MarginMSELoss", "MegaBatchMarginLoss",
             "OnlineContrastiveLoss", "TripletLoss"]
    asked = [{"name": name} for name in plain] + [
        inner, {**inner, "name": "CachedMultipleNegativesRankingLoss"},
        {**inner, "name": "CachedMultipleNegativesRankingLoss", "mini_batch_size": 16},
        {**inner, "name": "MultipleNegativesSymmetricRankingLoss"},
        {**inner, "name": "CachedMultipleNegativesSymmetricRankingLoss"},
        {**inner, "scale": 10.0, "directions": ["query_to_doc", "doc_to_query"], "partition_mode": "per_direction",
         "hardness_mode": "in_batch_negatives", "hardness_strength": 5.0},
        {**inner, "directions": ["query_to_query", "query_to_doc", "doc_to_query", "doc_to_doc"]},
        {"name": "SoftmaxLoss", "num_labels": 3}, {"name": "TripletLoss", "triplet_margin": 1.5},
        {"name": "DenoisingAutoEncoderLoss"}, {"name": "DistillKLDivLoss", "temperature": 2.0},
        {"name": "MatryoshkaLoss", "loss": inner, "matryoshka_dims": [8, 16]},
        {"name": "AdaptiveLayerLoss", "loss": {"name": "CoSENTLoss"}},
        {"name": "Matryoshka2dLoss", "loss": {"name": "CoSENTLoss"}, "matryoshka_dims": [8, 16]},
    ]
    for name in ("GISTEmbedLoss", "CachedGISTEmbedLoss"):
        asked.append({"name": name, "guide": "training/bert-sgd/model", "gather_across_devices": True})
    known = []
    for options in asked:
        given = dict(options)
        if "guide" in given:
            given["guide"] = model
        if given["name"] == "DenoisingAutoEncoderLoss":
            given["decoder_name_or_path"] = str(GOLDEN / "training/bert-sgd/model")
        try:
            loss = loss_of(model, given)
        except Exception as problem:
            print("left out:", options["name"], repr(problem)[:200])
            continue
        card = model.model_card_data.compute_dataset_metrics(Dataset.from_list([{"a": "b"}]), {}, loss)
        model.model_card_data.set_losses([loss])
        known.append({
            "options": options, "configuration": card["loss"].get("config_code", "").replace(f"{GOLDEN}/", ""),
            "heading": list(model.model_card_data.citations)[0] if len(model.model_card_data.citations) == 1
            else list(model.model_card_data.citations)[-1],
            "citation": getattr(loss, "citation", "").strip()})
    return known


def printed_tensors():
    """Square tensors of similarities as a card prints them."""
    generator = torch.Generator().manual_seed(4)
    cases = [torch.eye(3), torch.rand(3, 3, generator=generator) * 2 - 1, torch.rand(1, 3, generator=generator),
             -torch.rand(3, 3, generator=generator) * 30, torch.rand(3, 3, generator=generator) * 3000,
             torch.ones(3, 3), torch.tensor([[1.0, 2.0, -3.0]]), torch.rand(3, 3, generator=generator) * 1e-6,
             torch.tensor([[float("nan"), 1.5, 2.0]]), torch.zeros(3, 3), torch.rand(3, 3, generator=generator) * 3e8]
    text = []
    with torch._tensor_str.printoptions(precision=4, sci_mode=False):
        for case in cases:
            text.append(json.dumps({"values": [[float(x) for x in row] for row in case.double()], "text": str(case)}))
    return "\n".join(text).replace("NaN", "null") + "\n"


def main():
    out = pathlib.Path(sys.argv[1]) if sys.argv[1:] else RUNS
    out.mkdir(exist_ok=True)
    for run in sys.argv[2:] or sorted(path.parent.name for path in RUNS.glob("*/run.json")):
        with tempfile.TemporaryDirectory() as folder:
            card = train(json.loads((RUNS / run / "run.json").read_text()), folder)
        (out / run).mkdir(exist_ok=True)
        metadata, card = card.split("---\n", 2)[1:]
        (out / run / "card.md").write_text(card, encoding="utf-8")
        metadata = yaml.safe_load(metadata)
        if "widget" in metadata:
            metadata["widget"] = len(metadata["widget"])
        (out / run / "metadata.json").write_text(json.dumps(metadata, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(run, len(card))
    (out / "losses.json").write_text(json.dumps(describe_losses(), indent=1) + "\n")
    (out / "tensors.txt").write_text(printed_tensors())


if __name__ == "__main__":
    main()
