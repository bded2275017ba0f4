"""The inputs of losses.py: one vocabulary, the tiny models, and the tables of generated texts."""
import json
import pathlib
import random
import shutil
import tempfile

import torch
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from transformers import BertConfig, BertLMHeadModel, BertModel, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).resolve().parent / "losses"
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe"]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES[:4]]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROWS, BATCH, WIDTH = 52, 7, 16


def tokenizer():
    vocabulary = SPECIAL + WORDS + ["##" + s for s in SYLLABLES[:4]]
    raw = Tokenizer(tokenizer_models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", vocabulary.index("[CLS]")), ("[SEP]", vocabulary.index("[SEP]"))])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
                                   pad_token="[PAD]", mask_token="[MASK]", model_max_length=10), len(vocabulary)


def bert_config(width, layers, spread=0.15, **more):
    return BertConfig(vocab_size=tokenizer()[1], hidden_size=width, num_hidden_layers=layers, num_attention_heads=2,
                      intermediate_size=2 * width, max_position_embeddings=12, hidden_dropout_prob=0.0,
                      attention_probs_dropout_prob=0.0, initializer_range=spread, **more)


def shaken(module):
    """The module with biases and normalisations away from 0 and 1."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
    return module


def write_model(name, seed, width, layers, spread, normalize):
    torch.manual_seed(seed)
    encoder = BertModel(bert_config(width, layers, spread), add_pooling_layer=True)
    if not normalize:
        shaken(encoder)
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_pretrained(folder)
        tokenizer()[0].save_pretrained(folder)
        transformer = models.Transformer(folder)
    transformer.max_seq_length = 10
    modules = [transformer, models.Pooling(width, "mean")] + ([models.Normalize()] if normalize else [])
    shutil.rmtree(HERE / name, ignore_errors=True)
    SentenceTransformer(modules=modules, device="cpu").save(str(HERE / name), create_model_card=False)


def write_decoder(seed):
    torch.manual_seed(seed)
    shutil.rmtree(HERE / "decoder", ignore_errors=True)
    decoder = shaken(BertLMHeadModel(bert_config(WIDTH, 1, is_decoder=True, add_cross_attention=True)))
    decoder.save_pretrained(HERE / "decoder")
    tokenizer()[0].save_pretrained(HERE / "decoder")


def sentence(rng, low=1, high=10):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def altered(rng, text, share):
    """The text with about this share of its words replaced, at least one that truncation keeps: no ties."""
    words = text.split()
    other = [rng.choice(WORDS) if rng.random() < share else w for w in words]
    while other[:8] == words[:8]:
        other[rng.randrange(min(8, len(words)))] = rng.choice(WORDS)
    return " ".join(other)


def quads(rng, row):
    anchor = sentence(rng, 2)
    return {"anchor": anchor, "positive": altered(rng, anchor, 0.3), "negative_1": altered(rng, anchor, 0.7),
            "negative_2": sentence(rng)}


def pair(rng, share):
    first = sentence(rng, 2)
    return {"sentence1": first, "sentence2": altered(rng, first, share)}


def numbers(rng, count, scale):
    return [round(rng.gauss(0, scale), 3) for _ in range(count)]


def binary(rng, row):
    """Mixed labels, but only zeros in the third batch and only ones in the fifth."""
    label = {2: 0, 4: 1}.get(row // BATCH, rng.randint(0, 1))
    return pair(rng, 0.4 if label else 0.6) | {"label": label}


def denoise(rng, row):
    words = sentence(rng, 3, 8).split()
    kept = [w for w in words if rng.random() < 0.5] or words[:1]
    return {"damaged": " ".join(kept), "original": " ".join(words)}


def tension(rng, row):
    first = sentence(rng)
    return {"sentence1": first, "sentence2": first if row % 4 == 0 else sentence(rng), "label": int(row % 4 == 0)}


GROUPS = [0, 1, 0, 2, 1, 0, 3]  # one batch: three, two, and two that are alone

TABLES = {
    "quads": quads,
    "classes": lambda rng, row: pair(rng, 0.5) | {"label": rng.randint(0, 2)},
    "binary": binary,
    "similar": lambda rng, row: pair(rng, rng.random()) | {"score": rng.randint(0, 8) / 8},
    "scored-quads": lambda rng, row: quads(rng, row) | {"label": rng.randint(0, 4) / 4},
    "groups": lambda rng, row: {"sentence": sentence(rng), "label": GROUPS[(row + row // BATCH) % 7]},
    "margins": lambda rng, row: dict(list(quads(rng, row).items())[:3]) | {"label": numbers(rng, 1, 3)[0]},
    "margin-lists": lambda rng, row: quads(rng, row) | {"label": numbers(rng, 2, 1)},
    "scores": lambda rng, row: quads(rng, row) | {"scores": numbers(rng, 3, 3)},
    "teacher": lambda rng, row: pair(rng, 0.3) | {"label": numbers(rng, WIDTH, 1)},
    "teacher-wide": lambda rng, row: pair(rng, 0.3) | {"label": numbers(rng, 20, 1)},
    "teacher-columns": lambda rng, row: pair(rng, 0.3) | {"label": [numbers(rng, WIDTH, 1), numbers(rng, WIDTH, 1)]},
    "tension": tension,
    "denoise": denoise,
}


def write_tables():
    (HERE / "data").mkdir(parents=True, exist_ok=True)
    for index, (name, row) in enumerate(TABLES.items()):
        rng = random.Random(100 + index)
        lines = [json.dumps(row(rng, i)) + "\n" for i in range(ROWS)]
        (HERE / "data" / f"{name}.jsonl").write_text("".join(lines))
