"""The tiny models of families.py, one entry a family: configuration, class, padding id and pooling."""
from dataclasses import dataclass

import transformers as t
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


ROBERTA = SIZE | PLAIN | dict(pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5, type_vocab_size=1)
CASES = {
    "bert": Case(t.BertConfig(**SIZE | PLAIN), t.BertModel),
    "mpnet": Case(t.MPNetConfig(**SIZE | dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                                              layer_norm_eps=1e-5, pad_token_id=1)), t.MPNetModel, pad=1),
    "roberta": Case(t.RobertaConfig(**ROBERTA), t.RobertaModel, pad=1),
    "camembert": Case(t.CamembertConfig(**ROBERTA, hidden_act="quick_gelu"), t.CamembertModel, pad=1),
    "xlm-roberta": Case(t.XLMRobertaConfig(**ROBERTA), t.XLMRobertaModel, pad=1, pooling="cls"),
    "xlm-roberta-xl": Case(t.XLMRobertaXLConfig(**ROBERTA), t.XLMRobertaXLModel, pad=1),
    "distilbert": Case(
        t.DistilBertConfig(vocab_size=VOCABULARY, n_layers=2, dim=32, n_heads=4, hidden_dim=40,
                           max_position_embeddings=40, dropout=0.0, attention_dropout=0.0), t.DistilBertModel),
    "electra": Case(t.ElectraConfig(**SIZE | PLAIN, embedding_size=16), t.ElectraModel, pooling="cls"),
    # Four layers over two blocks: each block is applied twice.
    "albert": Case(
        t.AlbertConfig(**SIZE | PLAIN | dict(num_hidden_layers=4), num_hidden_groups=2, embedding_size=16),
        t.AlbertModel),
}
