#!/usr/bin/env python3
"""Goldens of short training runs: losses, gradients and final weights of tiny models, from the reference.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread, float32.
    python training.py [RUN ...]        writes Tests/Golden/training/, or these runs of it
Texts, vocabulary and weights are generated here. Dropout is 0; rows are taken in file order.
Each run folder holds model/ (the start), rows.jsonl, expected.json (losses, norms, rates per step) and
expected.safetensors (grad.<name>: gradients of step 1; end.<name>: weights after the last step).
"""
import json
import pathlib
import random
import shutil
import sys
import tempfile

sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from datasets import Dataset
from safetensors.torch import save_file
from sentence_transformers import (SentenceTransformer, SentenceTransformerTrainer,
                                   SentenceTransformerTrainingArguments, losses, models)
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, PreTrainedTokenizerFast, TrainerCallback

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent / "training"
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "ve"]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES][:120]


def tokenizer(kind):
    special = {"bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
               "mpnet": ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]}[kind]
    vocabulary = special + WORDS + ["##" + s for s in SYLLABLES] + list("abcdefghijklmnopqrstuvwxyz")
    cls, sep, pad = ("[CLS]", "[SEP]", "[PAD]") if kind == "bert" else ("<s>", "</s>", "<pad>")
    raw = Tokenizer(tokenizer_models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(cls, vocabulary.index(cls)), (sep, vocabulary.index(sep))])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", cls_token=cls, sep_token=sep,
                                   pad_token=pad, mask_token="[MASK]" if kind == "bert" else "<mask>",
                                   model_max_length=24), len(vocabulary)


def tiny(kind, seed):
    torch.manual_seed(seed)
    if kind == "static":
        raw = tokenizer("bert")[0]._tokenizer
        table = models.StaticEmbedding(raw, embedding_weights=torch.randn(raw.get_vocab_size(), 24))
        return SentenceTransformer(modules=[table], device="cpu")
    fast, size = tokenizer(kind)
    common = dict(vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                  intermediate_size=64, max_position_embeddings=40, hidden_dropout_prob=0.0,
                  attention_probs_dropout_prob=0.0, initializer_range=0.15)
    encoder = (BertModel(BertConfig(**common), add_pooling_layer=True) if kind == "bert"
               else MPNetModel(MPNetConfig(pad_token_id=1, **common), add_pooling_layer=False))
    with torch.no_grad():
        for p in encoder.parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_pretrained(folder)
        fast.save_pretrained(folder)
        transformer = models.Transformer(folder)
    transformer.max_seq_length = 24
    return SentenceTransformer(modules=[transformer, models.Pooling(32, "mean"), models.Normalize()], device="cpu")


def rows(seed, count, columns):
    rng = random.Random(seed)

    def sentence():
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 14)))
    result = []
    for _ in range(count):
        anchor = sentence().split()
        positive = [rng.choice(WORDS) if rng.random() < 0.3 else w for w in anchor]
        row = [" ".join(anchor), " ".join(positive)] + [sentence() for _ in range(columns - 2)]
        result.append(dict(zip(["anchor", "positive", "negative_1", "negative_2"], row)))
    return result


def sequential(dataset, batch_size, drop_last, **_):
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


class Recorder(TrainerCallback):
    def __init__(self):
        self.lines = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.lines.append({k: logs[k] for k in ("loss", "grad_norm", "learning_rate", "epoch")})


RUNS = {
    "bert-sgd": dict(kind="bert", seed=1, columns=3, count=84, args=dict(
        optim="sgd", learning_rate=0.1, warmup_ratio=0.1, max_grad_norm=2.0, per_device_train_batch_size=8)),
    "bert-adamw": dict(kind="bert", seed=2, columns=2, count=150, args=dict(
        optim="adamw_torch", learning_rate=2e-3, weight_decay=0.01, warmup_steps=2, gradient_accumulation_steps=2,
        per_device_train_batch_size=8, lr_scheduler_type="constant_with_warmup")),
    "mpnet-sgd": dict(kind="mpnet", seed=3, columns=4, count=60, args=dict(
        optim="sgd", optim_args="momentum=0.9", learning_rate=0.05, max_grad_norm=1.0,
        per_device_train_batch_size=6, lr_scheduler_type="cosine")),
    "mpnet-adamw": dict(kind="mpnet", seed=4, columns=3, count=80, args=dict(
        optim="adamw_torch", learning_rate=1e-3, weight_decay=0.1, per_device_train_batch_size=8)),
    "static-sgd": dict(kind="static", seed=5, columns=3, count=64, args=dict(
        optim="sgd", learning_rate=2.0, max_grad_norm=0.5, per_device_train_batch_size=8)),
    # In float64: some rows have gradients of the size of float32's rounding, which AdamW makes whole steps of.
    "static-adamw": dict(kind="static", seed=6, columns=2, count=64, matryoshka=[24, 16, 8], double=True, args=dict(
        optim="adamw_torch", learning_rate=2e-2, weight_decay=0.05, warmup_steps=2, per_device_train_batch_size=8)),
}


def bare(name):
    """The checkpoint's name of a parameter of the reference's model: what stands behind "0.<attribute>."."""
    return name[2:] if name == "0.embedding.weight" else name.split(".", 2)[2]


def make(name, run):
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    model = tiny(run["kind"], run["seed"])
    model.save(str(out / "model"), create_model_card=False)
    if run.get("double"):
        model.double()
    table = rows(run["seed"], run["count"], run["columns"])
    if run["kind"] == "static":
        table[9]["anchor"] = ""  # the zero vector
    (out / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in table))
    loss = losses.MultipleNegativesRankingLoss(model)
    described = {"name": "MultipleNegativesRankingLoss"}
    if "matryoshka" in run:
        loss = losses.MatryoshkaLoss(model, loss, run["matryoshka"])
        described = {"name": "MatryoshkaLoss", "loss": described, "matryoshka_dims": run["matryoshka"]}
    size = run["args"]["per_device_train_batch_size"]
    features = [model.tokenize([r[c] for r in table[:size]]) for c in table[0]]
    value = loss(features, None)
    value.backward()
    tensors = {"grad." + bare(n): p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    start = {bare(n): p.detach().clone() for n, p in model.named_parameters()}
    model.zero_grad()
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, num_train_epochs=1, logging_steps=1, save_strategy="no", batch_sampler=sequential,
            report_to=[], disable_tqdm=True, seed=1, **run["args"])
        SentenceTransformerTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(table), loss=loss,
                                   callbacks=[recorder]).train()
    end = {bare(n): p.detach().clone() for n, p in model.named_parameters()}
    tensors |= {"end." + n: t for n, t in end.items() if "grad." + n in tensors}
    moved = sum(float((end[n] - start[n]).square().sum()) for n in end) ** 0.5
    norm = sum(float(start[n].square().sum()) for n in end) ** 0.5
    save_file({n: t.float().contiguous() for n, t in tensors.items()}, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(
        {"args": run["args"], "first_loss": float(value), "steps": recorder.lines, "movement": moved / norm}
        | ({"loss": described} if "matryoshka" in run else {}),
        indent=1) + "\n")
    print(name, "loss", float(value), "->", recorder.lines[-1]["loss"], "steps", len(recorder.lines),
          "movement", moved / norm)


if __name__ == "__main__":
    for name, run in RUNS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, run)
