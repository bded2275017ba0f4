#!/usr/bin/env python3
"""Goldens of dropout: every family in training mode, with the masks that Tutti draws in the place of torch's.

Made with: torch 2.15.0, transformers 5.23.0, one thread.
    python families_dropout.py [FAMILY ...]     writes Tests/Golden/families/<family>/dropout.safetensors
The models and ids are those of families.py; all rates are RATE. Every call of dropout in the reference is found by the
module that makes it, and gets the mask of that site: Tests/EncodersTests/DropoutGoldenTests.swift says which streams. A call
that no line of SITES names fails. In float64:
    layer.<l> [S, D]    mean of the tokens of layer l (0 = embeddings)
"""
import re
import sys

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import numpy as np
import torch
from families import HERE, LENGTHS, VOCABULARY
from families_cases import CASES
from safetensors.torch import save_file

SEED, STEP, MICRO_STEP, RATE, SITE = 7, 3, 1, np.float32(0.1), 0x53495445
torch.set_num_threads(1)


# The sites of a layer as Sources/Encoders/DropoutStream.swift numbers them. Layer 0 is the embedding, and what comes after the
# last layer; the table of relative positions has the first number of a sequence that no batch holds.
PROBABILITIES, ATTENTION, FEED_FORWARD, INNER, TABLE = range(5)
EMBEDDING, LAST, CONVOLUTION = 0, 1, 3
# The module that calls dropout -> whether its site is of layer 0, and its number.
SITES = [
    (r"embeddings\.(dropout|drop)", True, EMBEDDING),
    (r"encoder\.dropout", True, EMBEDDING),  # T5 calls it again at the end
    (r"encoder\.conv\.dropout", True, CONVOLUTION),
    (r".*\.pos_dropout", False, TABLE),
    (r".*(attention|self_attn|SelfAttention|attn|attention\.self|attention\.attn\.dropout|attention\.self\.dropout)",
     False, PROBABILITIES),
    (r".*(attention\.output\.dropout|attention\.dropout|out_drop|output_dropout|layer\.0\.dropout"
     r"|post_attention_dropout)", False, ATTENTION),
    (r".*(DenseReluDense\.dropout|mlp\.drop|mlp\.dropout)", False, INNER),
    (r".*(\d\.output\.dropout|ffn\.dropout|layer\.1\.dropout|post_mlp_dropout)", False, FEED_FORWARD),
]


def philox(counter, key):
    """Philox4x32 with ten rounds."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(second >> 32) ^ c[1] ^ k[0], second & 0xFFFFFFFF, (first >> 32) ^ c[3] ^ k[1], first & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def derive(key, *counter):
    low, high = philox(counter, (key & 0xFFFFFFFF, key >> 32))[:2]
    return low | high << 32


def sequence_key(slot, column):
    step = derive(SEED, STEP & 0xFFFFFFFF, STEP >> 32, MICRO_STEP, 0x53544550)
    return derive(step, slot & 0xFFFFFFFF, slot >> 32, column, 0x534C4F54)


def kept(key, shape):
    """Which elements of a site survive: a hash of their index inside the sequence."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(key & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x += np.uint32(key >> 32)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return torch.from_numpy((x >= np.uint32(float(RATE) * 2**32)).reshape(shape))


class Masks:
    """The masks of one sequence, by the calls of dropout in the order of the reference."""

    def __init__(self, model, slot, column):
        self.names = {id(module): name for name, module in model.named_modules()}
        self.sequence, self.table = sequence_key(slot, column), sequence_key(2**64 - 1, 2**32 - 1)
        self.modules, self.layer, self.last = [], 0, None

    def __call__(self, x, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return x
        name = self.names[id(self.modules[-1])]
        is_first_layer, site = next(found for pattern, *found in SITES if re.fullmatch(pattern, name))
        if is_first_layer:
            layer, site = 0, LAST if site == EMBEDDING and self.layer else site
        else:
            # A layer begins with its table, or else with its probabilities.
            self.layer += site == TABLE or site == PROBABILITIES and self.last != TABLE
            layer = self.layer
        self.last = site
        assert (x.dim() == 4) == (layer > 0 and site == PROBABILITIES), name
        key = derive(self.table, layer, 0, 0, SITE) if site == TABLE else derive(self.sequence, layer, site, 0, SITE)
        mask = kept(key, tuple(x.shape) if site == TABLE else tuple(x.shape[1:]))
        return x * mask * float(np.float32(1) / (np.float32(1) - RATE))


def encode(case, folder):
    config = case.model.config_class.from_pretrained(folder)
    for name, value in vars(config).items():
        if "drop" in name and isinstance(value, (int, float)) and not isinstance(value, bool):
            setattr(config, name, float(RATE))
    model = case.model.from_pretrained(folder, config=config, attn_implementation="eager").double().train()
    generator = torch.Generator().manual_seed(11)
    states = []
    for number, length in enumerate(LENGTHS):
        ids = torch.randint(0, VOCABULARY, (length,), generator=generator)
        masks = Masks(model, slot=100 + number, column=number % 3)
        enter = torch.nn.modules.module.register_module_forward_pre_hook(lambda module, _: masks.modules.append(module))
        leave = torch.nn.modules.module.register_module_forward_hook(lambda *_: masks.modules.pop() and None)
        usual, torch.nn.functional.dropout = torch.nn.functional.dropout, masks
        try:
            states.append(model(input_ids=ids[None], output_hidden_states=True).hidden_states)
        finally:
            torch.nn.functional.dropout = usual
            enter.remove(), leave.remove()
    out = {f"layer.{place}": torch.stack([state[place][0].mean(0) for state in states])
           for place in range(len(states[0]))}
    return {name: t.detach().float().contiguous() for name, t in out.items()}


for name in sys.argv[1:] or CASES:
    save_file(encode(CASES[name], HERE / name / "model"), HERE / name / "dropout.safetensors")
