#!/usr/bin/env python3
"""Goldens of rotary scalings: the reference's frequencies and factors for entries of config.json.

Made with: transformers 5.23.0, torch 2.15.0.
    python rotary.py        writes Tests/Golden/rotary.json
A case is config (keys of a Llama of four heads), frequencies [E / 2] and factor, as its rotary embedding has them for texts
within the model's positions.
"""
import json
import pathlib
import sys

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SIZE = dict(vocab_size=63, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=40)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768, rope_theta=1000000.0)
SHORT = [1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.5, 7.25]
LONG = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0]
CASES = {
    "default": dict(max_position_embeddings=512, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "linear": dict(max_position_embeddings=512, rope_theta=10000.0, rope_scaling=dict(type="linear", factor=3.0)),
    "dynamic": dict(max_position_embeddings=512, rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=2.0)),
    "yarn, as Qwen": dict(max_position_embeddings=131072, head_dim=128, rope_parameters=YARN),
    "yarn, narrow": dict(max_position_embeddings=64, rope_parameters=YARN | dict(
        original_max_position_embeddings=16, rope_theta=500.0)),
    "yarn, bounds": dict(max_position_embeddings=65536, head_dim=64, rope_parameters=YARN | dict(
        beta_fast=16.0, beta_slow=2.0, truncate=False)),
    "yarn, factor": dict(max_position_embeddings=131072, head_dim=64, rope_parameters=YARN | dict(attention_factor=0.75)),
    "yarn, mscale": dict(max_position_embeddings=131072, head_dim=64, rope_parameters=YARN | dict(
        mscale=0.707, mscale_all_dim=1.5)),
    "yarn, positions outside": dict(max_position_embeddings=4096, original_max_position_embeddings=1024,
                                    rope_parameters=YARN | dict(rope_theta=10000.0)),
    "longrope": dict(max_position_embeddings=4096, original_max_position_embeddings=512, rope_theta=10000.0,
                     rope_scaling=dict(type="longrope", short_factor=SHORT, long_factor=LONG)),
    "longrope, factors": dict(max_position_embeddings=4096, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, short_factor=SHORT, long_factor=LONG, factor=8.0,
        original_max_position_embeddings=512)),
    "longrope, attention": dict(max_position_embeddings=512, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, short_factor=SHORT, long_factor=LONG, attention_factor=1.25)),
    "llama3": dict(max_position_embeddings=131072, head_dim=128, rope_parameters=dict(
        rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=8192)),
    "proportional": dict(max_position_embeddings=512, rope_parameters=dict(
        rope_type="proportional", rope_theta=10000.0, partial_rotary_factor=0.4, factor=2.0)),
}

cases = []
for name, keys in CASES.items():
    given = json.loads(json.dumps(SIZE | keys))  # the class changes what it is given
    rotary = LlamaRotaryEmbedding(LlamaConfig(**SIZE | keys))
    cases.append({"name": name, "config": given, "frequencies": rotary.inv_freq.tolist(),
                  "factor": float(rotary.attention_scaling)})
path = pathlib.Path(__file__).resolve().parent / "rotary.json"
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
