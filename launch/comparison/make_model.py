"""Writes a model of full size with random weights, as the reference initialises it. Runs in the peer's environment.

    make_model.py NAME TOKENIZER FOLDER     TOKENIZER is a model folder whose tokenizer all of them use

For speed and memory weights do not matter, and no package holds real ones of these families.
"""
import sys

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import AutoConfig, AutoModel, AutoTokenizer

name, source, folder = sys.argv[1:]
SHAPES = {
    "random-xlmr-base": dict(
        model_type="xlm-roberta", vocab_size=250002, max_position_embeddings=514, type_vocab_size=1,
        layer_norm_eps=1e-5, pad_token_id=0),
    "random-distilbert": dict(model_type="distilbert"),
    "random-modernbert-base": dict(model_type="modernbert", pad_token_id=0),
    "random-qwen3-0.6b": dict(
        model_type="qwen3", vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, rope_theta=1e6),
}

torch.manual_seed(1)
tokenizer = AutoTokenizer.from_pretrained(source)
if name == "random-static":
    module = modules.StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=1024)
    SentenceTransformer(modules=[module], device="cpu").save(folder)
else:
    config = AutoConfig.for_model(**SHAPES[name])
    encoder = AutoModel.from_config(config, dtype=torch.float32)
    encoder.save_pretrained(folder + ".encoder")
    tokenizer.save_pretrained(folder + ".encoder")
    transformer = modules.Transformer(folder + ".encoder", max_seq_length=512)
    pooling = modules.Pooling(
        transformer.get_embedding_dimension(), "lasttoken" if config.model_type == "qwen3" else "mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(folder)
