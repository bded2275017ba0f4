"""The tiny models of families.py, one entry a family: configuration, class, padding id and pooling."""
from dataclasses import dataclass

import transformers as t
from families_jina import CODE, JinaBertConfig, JinaBertModel
from transformers import PretrainedConfig

VOCABULARY = 63  # of families.py
SIZE = dict(vocab_size=VOCABULARY, num_hidden_layers=2, hidden_size=32, num_attention_heads=4, intermediate_size=40,
            max_position_embeddings=40)
PLAIN = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, type_vocab_size=2, pad_token_id=0)


@dataclass
class Case:
    config: PretrainedConfig
    model: type
    pad: int = 0
    pooling: str = "mean"
    spread: float = 1.2  # of a matrix's weights; less where training would magnify rounding


ROBERTA = SIZE | PLAIN | dict(pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5, type_vocab_size=1)
T5 = dict(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=6, dropout_rate=0.0,
          relative_attention_num_buckets=16, relative_attention_max_distance=24)
# Heads that are wider than hidden_size / heads, and fewer of them for keys and values.
CAUSAL = SIZE | dict(num_key_value_heads=2, head_dim=16)
GEMMA = dict(query_pre_attn_scalar=24, sliding_window=8, pad_token_id=0)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=500.0, factor=2.5, original_max_position_embeddings=16, beta_fast=4.0)
DEBERTA = dict(intermediate_size=32, relative_attention=True, pos_att_type=["c2p", "p2c"], layer_norm_eps=1e-7)
CASES = {
    "bert": Case(t.BertConfig(**SIZE | PLAIN), t.BertModel),
    "mpnet": Case(t.MPNetConfig(**SIZE | dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                                              layer_norm_eps=1e-5, pad_token_id=1)), t.MPNetModel, pad=1),
    "roberta": Case(t.RobertaConfig(**ROBERTA), t.RobertaModel, pad=1),
    "camembert": Case(t.CamembertConfig(**ROBERTA, hidden_act="quick_gelu"), t.CamembertModel, pad=1),
    "xlm-roberta": Case(t.XLMRobertaConfig(**ROBERTA), t.XLMRobertaModel, pad=1, pooling="cls",
                        spread=0.9),
    "xlm-roberta-xl": Case(t.XLMRobertaXLConfig(**ROBERTA), t.XLMRobertaXLModel, pad=1),
    "distilbert": Case(
        t.DistilBertConfig(vocab_size=VOCABULARY, n_layers=2, dim=32, n_heads=4, hidden_dim=40,
                           max_position_embeddings=40, dropout=0.0, attention_dropout=0.0), t.DistilBertModel),
    "electra": Case(t.ElectraConfig(**SIZE | PLAIN, embedding_size=16), t.ElectraModel, pooling="cls", spread=0.6),
    # Four layers over two groups of two blocks: each block is applied twice.
    "albert": Case(
        t.AlbertConfig(**SIZE | PLAIN | dict(num_hidden_layers=4, intermediate_size=8), num_hidden_groups=2,
                       inner_group_num=2, embedding_size=16), t.AlbertModel, spread=0.6),
    "t5": Case(t.T5Config(**T5), t.T5EncoderModel),
    "mt5": Case(t.MT5Config(**T5 | dict(relative_attention_num_buckets=32, relative_attention_max_distance=128),
                            feed_forward_proj="gated-gelu"), t.MT5EncoderModel, spread=0.6),
    "umt5": Case(t.UMT5Config(**T5, feed_forward_proj="gated-silu"), t.UMT5EncoderModel, spread=0.6),
    "llama": Case(
        t.LlamaConfig(**CAUSAL, rope_parameters=LLAMA3, pad_token_id=0, attention_bias=True, mlp_bias=True),
        t.LlamaModel, pooling="lasttoken", spread=0.9),
    "mistral": Case(t.MistralConfig(**CAUSAL, sliding_window=5), t.MistralModel, pooling="lasttoken", spread=0.6),
    "qwen2": Case(
        t.Qwen2Config(**SIZE, num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        t.Qwen2Model, pooling="lasttoken", spread=0.6),
    "qwen3": Case(t.Qwen3Config(**CAUSAL, rope_parameters=dict(rope_type="default", rope_theta=1e6)), t.Qwen3Model,
                  pooling="lasttoken", spread=0.6),
    "gemma3": Case(t.Gemma3TextConfig(**CAUSAL | GEMMA, layer_types=["sliding_attention", "full_attention"]),
                   t.Gemma3TextModel, pooling="lasttoken"),
    "embeddinggemma": Case(
        t.Gemma3TextConfig(**CAUSAL | GEMMA, use_bidirectional_attention=True,
                           layer_types=["sliding_attention", "full_attention"]), t.Gemma3TextModel),
    "eurobert": Case(t.EuroBertConfig(**CAUSAL, rope_parameters=YARN, pad_token_id=1), t.EuroBertModel, pad=1),
    # Layers 0 and 2 see everything, layer 1 a window of 4 on either side.
    "modernbert": Case(
        t.ModernBertConfig(**SIZE | dict(num_hidden_layers=3, intermediate_size=8), global_attn_every_n_layers=2,
                           local_attention=8, pad_token_id=0, reference_compile=False), t.ModernBertModel,
        spread=0.6),
    "nomic_bert": Case(t.NomicBertConfig(**SIZE | PLAIN | dict(intermediate_size=32)), t.NomicBertModel),
    "gte": Case(t.GteConfig(**SIZE | PLAIN | dict(pad_token_id=1, type_vocab_size=1, intermediate_size=32)), t.GteModel,
                pad=1, pooling="cls", spread=0.6),
    "jina_embeddings_v3": Case(
        t.JinaEmbeddingsV3Config(**ROBERTA | dict(intermediate_size=32)), t.JinaEmbeddingsV3Model, pad=1),
    # Five heads: slopes of four, and one of eight.
    "jina_bert": Case(JinaBertConfig(**SIZE | PLAIN | dict(hidden_size=40, num_attention_heads=5, intermediate_size=4)),
                      JinaBertModel, spread=0.6),
    "jina_bert-code": Case(JinaBertConfig(**SIZE | PLAIN | dict(intermediate_size=4), auto_map=CODE), JinaBertModel,
                           spread=0.6),
    # As v3: shared projections, buckets, normed table, no other positions; lengths beyond the buckets.
    "deberta-v3": Case(
        t.DebertaV2Config(**SIZE | PLAIN | DEBERTA | dict(type_vocab_size=0), position_biased_input=False,
                          position_buckets=8, max_relative_positions=16, share_att_key=True,
                          norm_rel_ebd="layer_norm"), t.DebertaV2Model),
    "deberta-v2": Case(
        t.DebertaV2Config(**SIZE | PLAIN | DEBERTA | dict(intermediate_size=8), max_relative_positions=12,
                          embedding_size=16, conv_kernel_size=5, conv_groups=4), t.DebertaV2Model, pooling="cls",
        spread=0.9),
    # As v3, with the convolution of v2's larger models.
    "deberta-v2-xlarge": Case(
        t.DebertaV2Config(**SIZE | PLAIN | DEBERTA | dict(type_vocab_size=0, intermediate_size=8),
                          position_biased_input=False, position_buckets=8, max_relative_positions=16,
                          share_att_key=True, norm_rel_ebd="layer_norm", conv_kernel_size=3, conv_act="gelu"),
        t.DebertaV2Model),
    "deberta": Case(
        t.DebertaConfig(**SIZE | PLAIN | DEBERTA | dict(intermediate_size=8, pos_att_type="c2p|p2c"), position_biased_input=False,
                        max_relative_positions=12), t.DebertaModel, spread=0.9),
}
