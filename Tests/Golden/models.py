"""Tiny model folders saved by the reference, with their embeddings, for ModelsTests.

Pinned: sentence-transformers 6.2.0, transformers 5.23.0, torch 2.15, safetensors 0.6 (Python 3.11), one thread.
Run:    python Tests/Golden/models.py            (writes Tests/Golden/models/, about 700 KB)
Vocabulary and texts are written here; nothing is downloaded. Weights are random, scaled so that activations vary.
"""
import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast, MPNetConfig, MPNetModel, MPNetTokenizerFast

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
WORDS = (
    "the a river stone bird sings over under bright dark green old young moon sun rain falls slowly quickly on in and "
    "or not house garden tree leaf road walks runs sleeps reads writes book letter music plays with without cat dog "
    "horse ship sails wind cold warm morning evening night day city village bridge long short . , ! ? - ' ##s ##ing "
    "##ed ##er ##ly ##est un ##known e f g h i j k ##a ##b ##c ##d ##e ##f ##g ##h ##i ##j ##k ##l ##m ##n ##o ##p "
    "##q ##r ##t ##u ##v ##w ##x ##y ##z b c d l m n o p q r s t u v w x y z query : passage"
).split()
TEXTS = [
    "the bird sings over the river",
    "",
    "an old horse walks slowly on the long road , and the cat sleeps in the garden .",
    "rain",
    "The MOON is bright, the night is cold!",
    "unknown words like quartz or jukebox",
    "ship sails with the wind " * 12,
    "a letter without music ? a book without wind - not a river",
    "dog dogs doging doged",
    "evening rain falls on the green leaf",
]


def vocabulary(path, special):
    words = list(special)
    for word in WORDS:
        if word not in words:
            words.append(word)
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(words) + "\n")
    return len(words)


def transformer(kind, folder):
    """A plain Hugging Face folder of a tiny encoder; returns it loaded as a Transformer module."""
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(7 if kind == "bert" else 11)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
    vocab = os.path.join(folder, "vocab.txt")
    if kind == "bert":
        n = vocabulary(vocab, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        model = BertModel(BertConfig(vocab_size=n, max_position_embeddings=40, **sizes))
        tokenizer = BertTokenizerFast(vocab, do_lower_case=True, model_max_length=24)
    else:
        n = vocabulary(vocab, ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"])
        model = MPNetModel(MPNetConfig(vocab_size=n, max_position_embeddings=42, **sizes), add_pooling_layer=True)
        tokenizer = MPNetTokenizerFast(vocab, do_lower_case=True, model_max_length=24)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "LayerNorm.weight" in name:
                p.copy_(1 + 0.2 * torch.randn_like(p))
            else:
                p.copy_(0.15 * torch.randn_like(p))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    os.remove(vocab) if os.path.exists(os.path.join(folder, "tokenizer.json")) else None
    return folder


def expected(model, **kwargs):
    return model.encode(TEXTS, batch_size=4, convert_to_tensor=True, **kwargs).float().contiguous()


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    golden = {}
    for kind in ("bert", "mpnet"):
        plain = transformer(kind, os.path.join(OUT, f"{kind}-plain"))
        golden[f"{kind}-plain"] = expected(SentenceTransformer(plain, device="cpu"))

    def head(kind, *modules, **kwargs):
        return SentenceTransformer(
            modules=[Transformer(os.path.join(OUT, f"{kind}-plain")), *modules], device="cpu", **kwargs)

    # Heads, all pooling modes and both layouts: only the files that differ from the plain folder are kept.
    variants = {
        "bert-mean-normalize": head("bert", Pooling(32, "mean"), Normalize()),
        "bert-cls-max": head("bert", Pooling(32, ("cls", "max"))),
        "bert-dense": head("bert", Pooling(32, "mean"), Dense(32, 16), Normalize()),
        "bert-dense-layernorm": head(
            "bert", Pooling(32, "mean_sqrt_len_tokens"), Dense(32, 24, bias=False, activation_function=torch.nn.GELU()),
            LayerNorm(24)),
        "bert-weighted-last": head("bert", Pooling(32, ("weightedmean", "lasttoken"))),
        "mpnet-mean-normalize": head("mpnet", Pooling(32, "mean"), Normalize()),
        "bert-prompt": head(
            "bert", Pooling(32, "mean", include_prompt=False), prompts={"query": "query : ", "document": "passage : "},
            default_prompt_name="query", similarity_fn_name="dot"),
    }
    for name, model in variants.items():
        folder = os.path.join(OUT, name)
        if name == "bert-dense-layernorm":
            with torch.no_grad():
                model[3].norm.weight.add_(0.1 * torch.randn(24))
                model[3].norm.bias.add_(0.1 * torch.randn(24))
        model.save_pretrained(folder, create_model_card=False)
        golden[name] = expected(SentenceTransformer(folder, device="cpu"))
        shared = os.path.join(OUT, "bert-plain" if name.startswith("bert") else "mpnet-plain")
        for file in ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"):
            if open(os.path.join(folder, file), "rb").read() == open(os.path.join(shared, file), "rb").read():
                os.remove(os.path.join(folder, file))  # the tests put the shared files back
    golden["bert-prompt-none"] = expected(variants["bert-prompt"], prompt="")
    golden["bert-prompt-document"] = expected(variants["bert-prompt"], prompt_name="document")

    # The older layout, as versions 2 to 5 wrote it, cut at 12 tokens.
    old = os.path.join(OUT, "bert-old-layout")
    os.makedirs(os.path.join(old, "1_Pooling"))
    write(old, "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
    write(old, "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    write(old, "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0"}})
    write(old, "1_Pooling/config.json", {
        "word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    for file in ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(OUT, "bert-plain", file), old)
    golden["bert-old-layout"] = expected(SentenceTransformer(old, device="cpu"))
    for file in ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"):
        os.remove(os.path.join(old, file))

    # The same weights in other types, and sharded.
    weights = load_file(os.path.join(OUT, "bert-plain", "model.safetensors"))
    for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        folder = os.path.join(OUT, f"bert-{name}")
        os.makedirs(folder)
        save_file({k: v.to(dtype) for k, v in weights.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
        work = folder + "-work"
        shutil.copytree(os.path.join(OUT, "bert-plain"), work)
        save_file({k: v.to(dtype).float() for k, v in weights.items()}, os.path.join(work, "model.safetensors"), {"format": "pt"})
        golden[f"bert-{name}"] = expected(SentenceTransformer(work, device="cpu"))
        shutil.rmtree(work)
    names = sorted(weights)
    write(OUT, "texts.json", TEXTS)
    save_file(golden, os.path.join(OUT, "embeddings.safetensors"))
    write(OUT, "shards.json", {"first": names[::2], "second": names[1::2]})
    for path, _, files in os.walk(OUT):
        for file in files:
            if file == "README.md":
                os.remove(os.path.join(path, file))


def write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2)


if __name__ == "__main__":
    main()
