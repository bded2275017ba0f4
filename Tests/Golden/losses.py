#!/usr/bin/env python3
"""Goldens of every loss: eight SGD steps of one tiny model under each loss and option, from the reference.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread, float32.
    python losses.py [CASE ...]        writes Tests/Golden/losses/ (all cases, or only those named)
    python losses.py --noise [CASE]    repeats them in float64 and prints how far float32 is from it; writes nothing
Texts, vocabulary and weights are generated here. Dropout is 0; rows are taken in file order, 7 a step, 3 in the last.

losses_inputs.py makes the models and tables, losses_cases.py lists the cases.
losses/model is the model of all cases (mean pooling, no normalisation), losses/guide the guide of GIST, losses/decoder
the decoder of the untied denoising auto-encoder, losses/data the tables. Each case folder holds
    case.json             loss (a configuration of Tutti; paths relative to losses/), data, columns, args, the steps as
                          the reference logged them (parts of a loss to four digits), movement (of the model, relative
                          to its weights) and loss_movement (of the parameters of the loss, absolute)
    initial.safetensors   start values of the loss's own parameters, where the reference draws them
    end.safetensors       all parameters but the unused pooler's; those of the loss under the reference's names
Clipping acts where `clip` is set: max_grad_norm is then 0.6 of the first norm. The learning rate of a case follows from
its first gradient, so that every case moves the weights by some per cent.

Left out, because the reference draws at random or cannot run it; tests of our own hold these:
    n_dims_per_step and n_layers_per_step below the number there is   (drawn from Python's generator)
    ContrastiveTensionDataLoader                                      (the Trainer does not take it; the rows that it
                                                                       would make are a table with labels)
    mini_batch_num_tokens                                             (changes no number)
    gather_across_devices                                             (one process here)
    AdaptiveLayerLoss around a cached loss                            (warns, and leaves the prior layers untrained)
    MatryoshkaLoss or AdaptiveLayerLoss around a loss of several parts (weight * dict raises)
    MatryoshkaLoss around a loss with a head of full width            (SoftmaxLoss, projection_dim: shapes differ)
"""
import contextlib
import json
import math
import shutil
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import torch
from datasets import Dataset
from losses_cases import CASES
from losses_inputs import BATCH, HERE, WIDTH, write_decoder, write_model, write_tables
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers import SentenceTransformerTrainingArguments, losses, util
from sentence_transformers.base.losses.merged_forward import embed_columns
from torch import nn
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import PrinterCallback, TrainerCallback

torch.set_num_threads(1)


# Losses: a configuration of Tutti made into a loss of the reference

class Sum(nn.Module):
    """Losses added over one pass of the encoder, the way the reference's documentation adds a regularisation."""

    def __init__(self, model, parts):
        super().__init__()
        self.model = model
        self.parts = nn.ModuleList(parts)

    def forward(self, sentence_features, labels):
        embeddings = embed_columns(self.model, sentence_features)
        result = {}
        for part in self.parts:
            value = part.compute_loss_from_embeddings(embeddings, labels)
            result |= value if isinstance(value, dict) else {type(part).__name__: value}
        return result


def build(config, model):
    options = {k: v for k, v in config.items() if k not in ("name", "initial_parameters")}
    name = config["name"]
    if name == "Sum":
        return Sum(model, [build(part, model) for part in options["losses"]])
    if "loss" in options:
        options["loss"] = build(options["loss"], model)
    if "guide" in options:
        options["guide"] = SentenceTransformer(str(HERE / options["guide"]), device="cpu").to(model.dtype)
    if "decoder_name_or_path" in options:
        options["decoder_name_or_path"] = str(HERE / options["decoder_name_or_path"])
    if "similarity_fct" in options:
        options["similarity_fct"] = getattr(util, options["similarity_fct"])
    if "loss_fct" in options:
        options["loss_fct"] = {"MSE": nn.MSELoss, "L1": nn.L1Loss, "BCE": nn.BCELoss}[options["loss_fct"]]()
    if "cos_score_transformation" in options:
        options["cos_score_transformation"] = getattr(nn, options["cos_score_transformation"])()
    if "distance_metric" in options and name != "EmbedDistillLoss":
        family = (losses.TripletDistanceMetric if name == "TripletLoss" else
                  losses.BatchHardTripletLossDistanceFunction if name.startswith("Batch") else
                  losses.SiameseDistanceMetric)
        options["distance_metric"] = getattr(family, options["distance_metric"])
    if name == "SoftmaxLoss":
        options["embedding_dimension"] = WIDTH
    return getattr(losses, name)(model=model, **options)


# Runs

def sequential(dataset, batch_size, drop_last, **_):
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


class Recorder(TrainerCallback):
    def __init__(self):
        self.lines = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.lines.append({k: v for k, v in logs.items() if k not in ("epoch", "learning_rate")})


def bare(name):
    """The checkpoint's name of a parameter: what stands behind "0.<attribute>.", the prefix of a twin kept."""
    if name.startswith("model1."):
        return "model1." + bare(name[len("model1."):])
    return name.split(".", 2)[2] if name.startswith("0.") else name


def owned(loss, model):
    """The loss's own trainable parameters, an inner loss's under the names that it has alone."""
    of_model = {id(p) for p in model.parameters()}
    return {bare(n.removeprefix("loss.")): p for n, p in loss.named_parameters()
            if id(p) not in of_model and p.requires_grad and "guide." not in n and "pooler" not in n}


def digits(value, count):
    return float(f"{value:.{count - 1}e}")


def copies(parameters):
    return {n: p.detach().clone().contiguous() for n, p in parameters.items()}


def norm(tensors):
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


def prepared(spec, dtype):
    """Model, loss and data of a case, in their first state."""
    model = SentenceTransformer(str(HERE / "model"), device="cpu")
    torch.manual_seed(17)
    loss = build(spec["loss"], model)
    of_loss = owned(loss, model)
    if not any(n.startswith("model1.") for n in of_loss):
        with torch.no_grad():
            for name in sorted(of_loss):
                if of_loss[name].dim() == 1:
                    of_loss[name].add_(0.2 * torch.randn_like(of_loss[name]))
    if dtype == torch.float64:
        loss.double()
    lines = [json.loads(line) for line in (HERE / "data" / f"{spec['data']}.jsonl").read_text().splitlines()]
    wanted = list(spec["columns"])
    if spec["labelled"]:
        wanted += [n for n in lines[0] if n in ("label", "labels", "score", "scores")]
    spec["wanted"] = wanted
    return model, loss, Dataset.from_list([{n: line[n] for n in wanted} for line in lines])


def first_norm(spec):
    """The norm of the first step's gradient, to set the rate and the bound of clipping from."""
    model, loss, data = prepared(spec, torch.float32)
    size = spec["args"].get("per_device_train_batch_size", BATCH)
    head = data.select(range(size))
    labels = [n for n in head.column_names if n in ("label", "labels", "score", "scores")]
    features = [model.tokenize(list(head[n])) for n in head.column_names if n not in labels]
    value = loss(features, torch.tensor(list(head[labels[0]])) if labels else None)
    (sum(value.values()) if isinstance(value, dict) else value).backward()
    return norm(p.grad for p in model.parameters() if p.grad is not None), norm(
        p for p in model.parameters() if p.grad is not None)


def arguments(spec):
    gradient, weights = first_norm(spec)
    clip = digits(0.6 * gradient, 2) if spec["clip"] else 1e6
    return dict(optim="sgd", learning_rate=digits(spec["push"] * 0.05 * weights / (8 * min(gradient, clip)), 2),
                lr_scheduler_type="constant", max_grad_norm=clip, num_train_epochs=1, logging_steps=1,
                save_strategy="no", batch_sampler="sequential", seed=1,
                **({"per_device_train_batch_size": BATCH} | spec["args"]))


@contextlib.contextmanager
def everything_in(dtype):
    """Labels too, which the collator makes in the default type and some losses cast with float()."""
    single = torch.Tensor.float
    torch.set_default_dtype(dtype)
    if dtype == torch.float64:
        torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = single
        torch.set_default_dtype(torch.float32)


def run(spec, dtype=torch.float32):
    model, loss, data = prepared(spec, dtype)
    args = arguments(spec) if dtype == torch.float32 else spec["made"]
    spec["made"] = args
    of_model = {bare(n): p for n, p in model.named_parameters() if "pooler" not in n}
    of_loss = owned(loss, model)
    start, initial = copies(of_model), copies(of_loss)
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder, everything_in(dtype):
        made = SentenceTransformerTrainingArguments(
            output_dir=folder, report_to=[], disable_tqdm=True, use_cpu=True,
            **(args | {"batch_sampler": sequential}))
        trainer = SentenceTransformerTrainer(
            model=model, args=made, train_dataset=data, loss=loss, callbacks=[recorder])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return recorder.lines, start, copies(of_model), initial, copies(of_loss)


def moved(start, end):
    return norm(end[n] - start[n] for n in end)


def make(name, spec):
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    lines, start, end, initial, loss_end = run(spec)
    loss = dict(spec["loss"])
    drawn = {n: t for n, t in initial.items() if not n.startswith("model1.") and n != "logit_scale"}
    if drawn:
        save_file(drawn, out / "initial.safetensors")
        holder = loss
        while "loss" in holder:
            holder["loss"] = dict(holder["loss"])
            holder = holder["loss"]
        holder["initial_parameters"] = f"{name}/initial.safetensors"
    save_file(end | loss_end, out / "end.safetensors")
    movement = moved(start, end) / norm(start[n] for n in end)
    (out / "case.json").write_text(json.dumps(
        {"loss": loss, "data": spec["data"], "columns": spec["wanted"], "args": spec["made"], "steps": lines,
         "movement": movement, "loss_movement": moved(initial, loss_end)}, indent=1) + "\n")
    print(f"{name}: loss {lines[0]['loss']:.4g} -> {lines[-1]['loss']:.4g}, norm {lines[0]['grad_norm']:.3g}, "
          f"clip {spec['made']['max_grad_norm']:.3g}, movement {movement:.3f}, own {moved(initial, loss_end):.3g}")
    faults = []
    if len(lines) < 7:
        faults.append("few steps")
    if not 0.01 <= movement <= 0.3:
        faults.append("movement")
    if not all(math.isfinite(x["loss"]) for x in lines) or sum(x["loss"] > 0.01 for x in lines) < 6:
        faults.append(f"losses {[x['loss'] for x in lines]}")
    if spec["clip"] and not any(x["grad_norm"] > spec["made"]["max_grad_norm"] for x in lines):
        faults.append("never clipped")
    return [f"{name}: {fault}" for fault in faults]


def noise(name, spec):
    """How far float32 lies from float64: what of the bounds of the tests the reference itself uses up."""
    lines, start, end, initial, loss_end = run(spec)
    exact, _, exact_end, _, exact_loss_end = run(spec, torch.float64)
    value = max(abs(a["loss"] - b["loss"]) / max(1, abs(b["loss"])) for a, b in zip(lines, exact))
    norms = max(abs(a["grad_norm"] - b["grad_norm"]) / max(b["grad_norm"], 1e-12) for a, b in zip(lines, exact))
    weights = norm(end[n].double() - exact_end[n] for n in end) / moved(start, end)
    own = (norm(loss_end[n].double() - exact_loss_end[n] for n in loss_end) / moved(initial, loss_end)
           if loss_end else 0)
    mark = "  <-- much" if value > 4e-6 or norms > 8e-6 or max(weights, own) > 8e-6 else ""
    print(f"{name}: loss {value:.1e}, norm {norms:.1e}, weights {weights:.1e}, own {own:.1e}{mark}")


if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(CASES)
    if "--noise" in sys.argv:
        for name in names:
            noise(name, CASES[name])
    else:
        HERE.mkdir(exist_ok=True)
        write_model("model", 1, WIDTH, 2, 0.15, normalize=False)
        write_model("guide", 6, 16, 1, 1.0, normalize=True)
        write_decoder(3)
        write_tables()
        faults = [fault for name in names for fault in make(name, CASES[name])]
        sys.exit("\n".join(faults))
