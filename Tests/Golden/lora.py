#!/usr/bin/env python3
"""Goldens of low-rank adapters (LoRA): folders that the reference saves, their embeddings, and eight steps of training.

Made with: peft 0.21.2, sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, one thread.
    python lora.py                       writes Tests/Golden/lora/
Base models and texts are those of families/. A case is a family and a LoraConfig; A, B and magnitudes (DoRA) are far from
their start. Its folder holds
    model/                 as sentence-transformers saves a model with an adapter, without the files of families/<family>/model;
                           base_model_name_or_path is BASE, to be replaced
    expected.safetensors   embeddings: of the first twelve anchors, in float64; end.<key of the adapter's file>: the values after
                           eight steps of plain gradient descent in float64
    expected.json          family, settings of the steps, losses and gradient norms; modules: those with an adapter;
                           movement: how far the trained values went, relative to their size
"""
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import torch
from families import descend
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, losses
from transformers import PreTrainedTokenizerFast

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent
CASES = {
    "bert": dict(family="bert", rate=0.005, config=dict(r=4, lora_alpha=8, target_modules=["query", "value"])),
    "bert-bias": dict(family="bert", rate=0.008, config=dict(
        r=3, lora_alpha=6, bias="all", use_rslora=True, target_modules=r".*layer\.[01]\.(attention\.self\.key|output\.dense)")),
    "bert-dora": dict(family="bert", rate=0.014, config=dict(
        r=3, lora_alpha=6, use_dora=True, bias="lora_only", target_modules=["query", "key", "value", "dense"],
        exclude_modules=["pooler.dense"])),
    "xlm-roberta": dict(family="xlm-roberta", rate=0.02, config=dict(
        r=4, lora_alpha=4, bias="lora_only", target_modules=["query", "key", "value", "dense"],
        exclude_modules=["pooler.dense"], layers_to_transform=[1], rank_pattern={"output.dense": 2},
        alpha_pattern={"self.key": 12})),
    "modernbert": dict(family="modernbert", rate=0.006, config=dict(
        r=4, lora_alpha=8, target_modules=["Wqkv", "Wo", "Wi"], modules_to_save=["final_norm"])),
    "nomic_bert": dict(family="nomic_bert", rate=0.01, config=dict(
        r=3, lora_alpha=6, use_dora=True, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"],
        modules_to_save=["post_attention_layernorm"])),
    "gte": dict(family="gte", rate=0.01, config=dict(
        r=4, lora_alpha=8, bias="lora_only", target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"],
        rank_pattern={"k_proj": 2})),
    "jina_embeddings_v3": dict(family="jina_embeddings_v3", rate=0.01, config=dict(
        r=4, lora_alpha=8, use_rslora=True, bias="all", target_modules=r".*(self_attn\.[kv]_proj|fc1)")),
    "qwen3": dict(family="qwen3", rate=0.006, config=dict(r=4, lora_alpha=8, target_modules="all-linear")),
}


def load(folder, family):
    model = SentenceTransformer(str(folder), device="cpu").double()
    model[0].processor = PreTrainedTokenizerFast.from_pretrained(HERE / "families" / family / "model")
    return model


def stored(model):
    """The adapter's tensors by the keys of its file, in the model's precision."""
    state = model[0].model.get_adapter_state_dict()
    return {"base_model.model." + key: value.detach().clone() for key, value in state.items()}


def make(name, family, rate, config):
    base = HERE / "families" / family / "model"
    rows = [json.loads(line) for line in (HERE / "families/rows/pairs.jsonl").read_text().splitlines()]
    torch.manual_seed(sum(name.encode()))
    model = load(base, family)
    model.add_adapter(LoraConfig(**config))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad and "pooler" not in n}
    with torch.no_grad():
        for key, p in trained.items():
            if "lora_magnitude" in key:
                p.mul_(1 + 0.2 * torch.randn(p.shape)).copy_(p.float())
            elif "lora_" in key:
                p.copy_((torch.randn(p.shape) * (0.1 if "lora_B" in key else 0.2)).float())
    out = HERE / "lora" / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        twin = load(base, family)
        twin.add_adapter(LoraConfig(**config))
        twin.load_state_dict(model.state_dict())
        twin.float().save_pretrained(folder, create_model_card=False)
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(pathlib.Path(folder) / file, out / "model" / file)
        # As it is read back, the reference gives the same; transformers finds magnitudes under the names of modules alone.
        file = pathlib.Path(folder) / "adapter_model.safetensors"
        save_file({k + ".weight" if k.endswith("lora_magnitude_vector") else k: v for k, v in load_file(file).items()},
                  file, metadata={"format": "pt"})
        again, texts = load(folder, family), [r["anchor"] for r in rows[:12]]
        model.eval()
        embeddings = torch.stack(model.encode(texts, convert_to_tensor=False, convert_to_numpy=False))
        assert torch.allclose(embeddings, torch.stack(again.encode(texts, convert_to_numpy=False)), atol=1e-9)
    settings = out / "model/adapter_config.json"
    settings.write_text(settings.read_text().replace(str(base), "BASE"))
    assert "BASE" in settings.read_text()
    modules = sorted(n for n, m in model[0].model.named_modules() if hasattr(m, "lora_A") and "pooler" not in n)

    start = {n: p.detach().clone() for n, p in trained.items()}
    model.train()
    loss = losses.MultipleNegativesRankingLoss(model)

    def loss_of(batch):
        return loss([model.tokenize([r[c] for r in batch]) for c in ("anchor", "positive")], None)

    steps = descend(trained.values(), rows, rate, loss_of)
    tensors = {"end." + key: t.float().contiguous() for key, t in stored(model).items() if "pooler" not in key}
    save_file(tensors | {"embeddings": embeddings.float()}, out / "expected.safetensors")
    size = sum(float(p.square().sum()) for p in start.values()) ** 0.5
    moved = sum(float((trained[n] - start[n]).square().sum()) for n in start) ** 0.5 / size
    expected = {"family": family, "args": {"learning_rate": rate}, "config": config, "modules": modules, "steps": steps,
                "movement": moved}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{name:12} loss {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}, movement {moved:.4f}, {len(modules)} modules, "
          f"{len(tensors)} tensors of {len(load_file(out / 'model/adapter_model.safetensors'))}")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name, **CASES[name])
