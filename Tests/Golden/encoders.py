#!/usr/bin/env python3
"""Goldens of tiny encoders: token embeddings, pooled embeddings and all gradients, computed in float64 by torch.

Pinned: torch 2.15.0, transformers 5.23.0, sentence-transformers 6.2.0, safetensors, numpy. Run: python3 encoders.py
Weights are random (fixed seed), LayerNorm weights and biases far from 1 and 0; ids are random, lengths 1 to the limit.
Writes encoders-bert.safetensors and encoders-mpnet.safetensors beside this file:
  ids [T], offsets [S+1], prompt [S]   the packed batch (as floats), prompt = tokens that pooling may leave out
  weight.<name>                        checkpoint tensors
  hidden.<l>                           [T, D] packed output of layer l (0 = embeddings)
  pooled.<mode>, promptless.<mode>     [S, D]
  coefficients.<case>, gradient.<case>.<name>   gradient of sum(coefficients * embeddings); cases:
    all    all six modes side by side
    heads  mean, Dense(tanh), LayerNorm, Dense(identity, no bias), Normalize; their weights are weight.2_Dense... etc.
"""
import os
import numpy
import torch
from safetensors.numpy import save_file
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
VOCABULARY, LIMIT = 61, 44
LENGTHS = [7, 1, 19, 2, 44, 12, 3, 31]
PROMPT = 2


def randomise(module, generator):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if "norm" in name.lower() and name.endswith("weight"):
                value = 1 + 0.3 * noise
            elif name.endswith("bias"):
                value = 0.2 * noise
            elif "embeddings" in name or "relative" in name:
                value = 0.7 * noise
            else:
                value = noise * 1.5 / parameter.shape[-1] ** 0.5
            # Values that fp32 holds exactly, so that both sides start from the same numbers.
            parameter.copy_(value.float().double())


def make(kind):
    common = dict(vocab_size=VOCABULARY, num_hidden_layers=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                  attn_implementation="eager")
    if kind == "bert":
        config = BertConfig(hidden_size=48, num_attention_heads=3, intermediate_size=80, max_position_embeddings=LIMIT,
                            pad_token_id=0, **common)
        return BertModel(config, add_pooling_layer=False)
    config = MPNetConfig(hidden_size=32, num_attention_heads=4, intermediate_size=64,
                         max_position_embeddings=LIMIT + 2, layer_norm_eps=1e-5, **common)
    return MPNetModel(config, add_pooling_layer=False)


def run(kind, seed):
    generator = torch.Generator().manual_seed(seed)
    model = make(kind).double().eval()
    randomise(model, generator)
    pad = 0 if kind == "bert" else 1
    rows = [torch.randint(3, VOCABULARY, (n,), generator=generator) for n in LENGTHS]
    ids = torch.full((len(rows), LIMIT), pad)
    mask = torch.zeros((len(rows), LIMIT), dtype=torch.long)
    for s, row in enumerate(rows):
        ids[s, : len(row)] = row
        mask[s, : len(row)] = 1
    packed = lambda x: torch.cat([x[s, :n] for s, n in enumerate(LENGTHS)])
    out = {"ids": torch.cat(rows), "offsets": torch.tensor([0] + LENGTHS).cumsum(0),
           "prompt": torch.tensor([min(PROMPT, n - 1) for n in LENGTHS])}
    for name, parameter in model.named_parameters():
        out["weight." + name] = parameter

    states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        out[f"hidden.{layer}"] = packed(state)
    width = model.config.hidden_size

    def pool(state, modes, prompt=None):
        pooling = Pooling(width, tuple(modes), include_prompt=prompt is None)
        features = {"token_embeddings": state, "attention_mask": mask}
        if prompt is not None:
            features["prompt_length"] = prompt
        return pooling(features)["sentence_embedding"]

    for mode in MODES:
        out["pooled." + mode] = pool(states[-1], [mode])
        # The reference takes one prompt length a batch; sequences shorter than the prompt keep one token here.
        kept = []
        for s, n in enumerate(LENGTHS):
            features = {"token_embeddings": states[-1][s : s + 1, :n], "attention_mask": mask[s : s + 1, :n],
                        "prompt_length": min(PROMPT, n - 1)}
            kept.append(Pooling(width, mode, include_prompt=False)(features)["sentence_embedding"])
        out["promptless." + mode] = torch.cat(kept)

    def gradients(case, embeddings, named):
        coefficients = torch.randn(embeddings.shape, generator=generator, dtype=torch.float64).float().double()
        out["coefficients." + case] = coefficients
        out["embeddings." + case] = embeddings
        grads = torch.autograd.grad((coefficients * embeddings).sum(), [p for _, p in named], allow_unused=True)
        for (name, parameter), grad in zip(named, grads):
            out[f"gradient.{case}.{name}"] = torch.zeros_like(parameter) if grad is None else grad

    named = list(model.named_parameters())
    gradients("all", pool(states[-1], MODES), named)

    heads = torch.nn.ModuleDict({
        "2_Dense": torch.nn.ModuleDict({"linear": torch.nn.Linear(width, 24)}),
        "3_LayerNorm": torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(24)}),
        "4_Dense": torch.nn.ModuleDict({"linear": torch.nn.Linear(24, 20, bias=False)}),
    }).double()
    randomise(heads, generator)
    for name, parameter in heads.named_parameters():
        out["weight." + name] = parameter
    states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    x = torch.tanh(heads["2_Dense"]["linear"](pool(states[-1], ["mean"])))
    x = heads["4_Dense"]["linear"](heads["3_LayerNorm"]["norm"](x))
    x = torch.nn.functional.normalize(x, p=2, dim=-1)
    gradients("heads", x, named + list(heads.named_parameters()))

    arrays = {name: numpy.ascontiguousarray(t.detach().to(torch.float32).numpy()) for name, t in out.items()}
    save_file(arrays, os.path.join(HERE, f"encoders-{kind}.safetensors"))


torch.set_num_threads(1)
run("bert", 20)
run("mpnet", 21)
