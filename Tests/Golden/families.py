#!/usr/bin/env python3
"""Goldens of every encoder family: a tiny model saved by the reference, its gradients, and eight steps of training.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread.
    python families.py [FAMILY ...]        writes Tests/Golden/families/ (all cases of families_cases.py, or those named)
Texts, vocabulary and weights are generated here; dropout is 0. A family is one entry of CASES. Its folder holds
    model/                 as sentence-transformers saves it: transformer, pooling, normalize
    expected.safetensors   of a batch of random ids (padding and other special tokens among them), in float64:
                             ids [T], offsets [S+1]
                             layer.<l> [S, D]             mean of the tokens of layer l (0 = embeddings)
                             embeddings, coefficients     [S, 3 D] first token, mean, last token of the last layer
                             gradient.<name>              of sum(coefficients * embeddings)
                             terms.<name>                 of a dense layer's bias whose gradient is a sum over tokens that
                                                          nearly cancels: the sum of their absolute values
                           and end.<name>: the weights after eight steps with MultipleNegativesRankingLoss
    expected.json          args, losses and gradient norms of the steps with either loss; movement: how far the weights
                           went, relative to their size
Names of gradients and weights are those on disk, where the reference fuses or renames on saving. families/rows holds the
texts of all families: pairs.jsonl and scores.jsonl.
"""
import copy
import json
import pathlib
import random
import shutil
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import torch
from families_cases import CASES
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from transformers import AutoModel, PreTrainedTokenizerFast

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent / "families"
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki"]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES][:58]
SPECIAL = {0: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], 1: ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]}
VOCABULARY = 5 + len(WORDS)
LENGTHS = [7, 1, 19, 2, 33, 12]
LIMIT, STEPS, BATCH, RATE, MOVEMENT = 24, 8, 6, 0.01, 0.0115


def write_rows():
    draw = random.Random(7)
    sentence = lambda: " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 14)))
    pairs, scores = [], []
    for _ in range(STEPS * BATCH):
        anchor = sentence()
        positive = " ".join(draw.choice(WORDS) if draw.random() < 0.3 else w for w in anchor.split())
        pairs.append({"anchor": anchor, "positive": positive})
        scores.append({"sentence1": anchor, "sentence2": positive if draw.random() < 0.5 else sentence(),
                       "score": round(draw.random(), 2)})
    (HERE / "rows").mkdir(parents=True, exist_ok=True)
    for name, rows in (("pairs", pairs), ("scores", scores)):
        (HERE / "rows" / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return pairs, scores


def write_tokenizer(folder, pad):
    special = SPECIAL[pad]
    raw = Tokenizer(tokenizer_models.WordPiece({w: i for i, w in enumerate(special + WORDS)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(t, special.index(t)) for t in ("[CLS]", "[SEP]")])
    PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
                            pad_token="[PAD]", mask_token="[MASK]", model_max_length=LIMIT).save_pretrained(folder)


def randomise(model, spread):
    """Weights far from their initial values, of numbers that fp32 holds; norms around the reference's own start."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape)
            if p.dim() == 1:
                p.add_((0.2 if name.endswith("bias") else 0.3) * noise)
            elif "embed" in name or "shared" in name or "relative" in name:
                p.copy_(0.7 * noise)
            else:
                p.copy_(noise * spread / p.shape[-1] ** 0.5)


def on_disk(model, tensors):
    """tensors, by the names of the model's parameters, under the names and in the layout of its checkpoints."""
    twin = copy.deepcopy(model).float()
    with torch.no_grad():
        for name, p in twin.named_parameters():
            p.copy_(tensors[name]) if name in tensors else p.fill_(float("nan"))
    with tempfile.TemporaryDirectory() as folder:
        twin.save_pretrained(folder)
        saved = load_file(folder + "/model.safetensors")
    return {name: t for name, t in saved.items() if not t.isnan().any()}


def watch_terms(model):
    """Sums of the absolute values that make up the gradient of each dense layer's bias, filled by backward."""
    terms = {}

    def watch(name):
        def add(gradient):
            terms[name] = terms.get(name, 0) + gradient.detach().abs().flatten(0, -2).sum(0)
        return lambda module, inputs, output: output.register_hook(add) and None

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module.bias is not None:
            module.register_forward_hook(watch(name + ".bias"))
    return terms


def encode(case, folder):
    model = case.model.from_pretrained(folder, attn_implementation="eager").double().eval()
    terms = watch_terms(model)
    generator = torch.Generator().manual_seed(11)
    rows = [torch.randint(0, VOCABULARY, (n,), generator=generator) for n in LENGTHS]
    # One by one: rows of padding are not compared, and some layers of the reference leave NaN in them.
    states = [model(input_ids=row[None], output_hidden_states=True) for row in rows]
    out = {"ids": torch.cat(rows), "offsets": torch.tensor([0] + LENGTHS).cumsum(0)}
    for place in range(len(states[0].hidden_states)):
        out[f"layer.{place}"] = torch.stack([state.hidden_states[place][0].mean(0) for state in states])
    last = [state.last_hidden_state[0] for state in states]
    embeddings = torch.stack([torch.cat([tokens[0], tokens.mean(0), tokens[-1]]) for tokens in last])
    coefficients = torch.randn(embeddings.shape, generator=generator, dtype=torch.float64).float().double()
    (coefficients * embeddings).sum().backward()
    out |= {"embeddings": embeddings, "coefficients": coefficients}
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    out |= {"gradient." + name: t for name, t in on_disk(model, gradients).items()}
    cancelling = {n: t for n, t in terms.items() if 1e-9 < gradients[n].abs().max() / t.max() < 0.05}
    out |= {"terms." + name: t for name, t in on_disk(model, cancelling).items()}
    return {name: t.detach().float().contiguous() for name, t in out.items()}


def norm(parameters):
    """The norm of all gradients, in float64."""
    return sum(float(p.grad.double().square().sum()) for p in parameters if p.grad is not None) ** 0.5


def descend(parameters, rows, rate, loss_of, norm_of=norm):
    """Plain gradient descent over the rows in order; the losses, which `loss_of` gives of a batch, and gradient norms."""
    parameters = list(parameters)
    optimizer = torch.optim.SGD(parameters, lr=rate)
    steps = []
    for step in range(STEPS):
        optimizer.zero_grad()
        value = loss_of(rows[step * BATCH : (step + 1) * BATCH])
        value.backward()
        steps.append({"loss": float(value), "grad_norm": norm_of(parameters)})
        optimizer.step()
    return steps


def train(folder, loss, rows, rate):
    """Steps of a model in float64; the model, its losses and gradient norms."""
    model = SentenceTransformer(str(folder), device="cpu").double()
    model[0].processor = PreTrainedTokenizerFast.from_pretrained(folder)  # some model types would rebuild it
    model.train()
    loss = loss(model)
    texts = [c for c in rows[0] if c != "score"]

    def loss_of(batch):
        features = [model.tokenize([r[c] for r in batch]) for c in texts]
        labels = torch.tensor([r["score"] for r in batch], dtype=torch.float64) if "score" in batch[0] else None
        return loss(features, labels)

    return model, descend(model.parameters(), rows, rate, loss_of)


def saved_tensors(model):
    """The weights as saved, by file and tensor."""
    with tempfile.TemporaryDirectory() as folder:
        model.float().save(folder, create_model_card=False)
        root = pathlib.Path(folder)
        return {(f.parent.relative_to(root) / n).as_posix(): t for f in sorted(root.rglob("model.safetensors"))
                for n, t in load_file(f).items()}


def make(name, case, pairs, scores):
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(len(name) + sum(name.encode()))
    with tempfile.TemporaryDirectory() as folder:
        model = case.model(case.config)
        randomise(model, case.spread)
        model.save_pretrained(folder)
        write_tokenizer(folder, case.pad)
        transformer = Transformer(folder)
    transformer.max_seq_length = LIMIT
    width = transformer.get_embedding_dimension()
    SentenceTransformer(modules=[transformer, Pooling(width, case.pooling), Normalize()], device="cpu").save(
        str(out / "model"), create_model_card=False)
    write_tokenizer(out / "model", case.pad)
    tensors = encode(case, out / "model")
    parameters = lambda m: {n: p.detach().clone() for n, p in m[0].model.named_parameters()}
    start = parameters(SentenceTransformer(str(out / "model"), device="cpu"))
    size = sum(float(p.double().square().sum()) for p in start.values()) ** 0.5
    # The weights go a little over 1 % of their size: enough to prove something, too little to magnify rounding.
    rate, moved = RATE, 0.0
    for _ in range(8):
        model, ranking = train(out / "model", losses.MultipleNegativesRankingLoss, pairs, rate)
        end = parameters(model)
        moved = sum(float((end[n] - start[n]).double().square().sum()) for n in end) ** 0.5 / size
        if 0.01 <= moved <= 0.0135:
            break
        rate = float(f"{rate * MOVEMENT / moved:.2g}")
    else:
        raise SystemExit(f"{name}: no rate moves the weights by 1 to 1.35 %; choose another spread")
    tensors |= {"end." + n: t.float().contiguous() for n, t in on_disk(model[0].model, end).items()
                if "gradient." + n in tensors}
    save_file(tensors, out / "expected.safetensors")
    _, cosent = train(out / "model", losses.CoSENTLoss, scores, rate)
    expected = {"args": {"per_device_train_batch_size": BATCH, "learning_rate": rate},
                "MultipleNegativesRankingLoss": ranking, "CoSENTLoss": cosent, "movement": moved}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{name:16} loss {ranking[0]['loss']:.4f} -> {ranking[-1]['loss']:.4f}, {cosent[0]['loss']:.4f} ->"
          f" {cosent[-1]['loss']:.4f}, movement {moved:.4f} at rate {rate}")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    pairs, scores = write_rows()
    for name in sys.argv[1:] or CASES:
        make(name, CASES[name], pairs, scores)
