"""Jina embeddings v2 in torch, which transformers has no class for: BERT's modules under its names, with ALiBi and gates.

A config with the classes of CODE is the model for code, which norms queries and keys and a layer's input once more.
Formulas: Günther et al. 2023, arXiv 2310.19923; names and order: backends/candle/src/models/jina.rs and jina_code.rs of
text-embeddings-inference. Registered as model_type "jina_bert", so that sentence-transformers loads it.
"""
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


CODE = {"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}


class JinaBertConfig(BertConfig):
    model_type = "jina_bert"

    def __init__(self, feed_forward_type="geglu", position_embedding_type="alibi", **settings):
        super().__init__(**settings)
        self.feed_forward_type, self.position_embedding_type = feed_forward_type, position_embedding_type


def slopes(heads):
    """Powers of two; for other numbers of heads those of the power below, then every second one of the power above."""
    power = 2 ** (heads.bit_length() - 1)
    geometric = lambda n: [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    return geometric(power) + geometric(2 * power)[0::2][: heads - power]


def module(**parts):
    result = nn.Module()
    for name, part in parts.items():
        setattr(result, name, part)
    return result


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, f, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        norm, dropout = lambda: nn.LayerNorm(d, eps=eps), lambda: nn.Dropout(config.hidden_dropout_prob)
        own = module(query=nn.Linear(d, d), key=nn.Linear(d, d), value=nn.Linear(d, d),
                     dropout=nn.Dropout(config.attention_probs_dropout_prob))
        self.attention = nn.ModuleDict(
            {"self": own, "output": module(dense=nn.Linear(d, d), LayerNorm=norm(), dropout=dropout())})
        self.is_code = getattr(config, "auto_map", None) == CODE
        if self.is_code:
            own.layer_norm_q, own.layer_norm_k = norm(), norm()
            self.mlp = module(
                up_gated_layer=nn.Linear(d, 2 * f, bias=False), down_layer=nn.Linear(f, d), dropout=dropout())
            self.layer_norm_1, self.layer_norm_2 = norm(), norm()
        else:
            self.mlp = module(gated_layers=nn.Linear(d, 2 * f, bias=False), wo=nn.Linear(f, d), layernorm=norm(),
                              dropout=dropout())
        self.activation = {"geglu": nn.functional.gelu, "reglu": nn.functional.relu}[config.feed_forward_type]

    def forward(self, x, mask):
        rows, length, d = x.shape
        split = lambda y: y.view(rows, length, self.heads, d // self.heads).transpose(1, 2)
        own = self.attention["self"]
        q, k, v = own.query(x), own.key(x), split(own.value(x))
        if self.is_code:
            q, k = own.layer_norm_q(q), own.layer_norm_k(k)
        q, k = split(q), split(k)
        place = torch.arange(length)
        distance = (place[None, :] - place[:, None]).abs().to(x.dtype)
        bias = -torch.tensor(slopes(self.heads), dtype=x.dtype)[:, None, None] * distance
        scores = q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5 + bias
        scores = scores.masked_fill(mask[:, None, None, :] == 0, torch.finfo(x.dtype).min)
        context = (own.dropout(scores.softmax(-1)) @ v).transpose(1, 2).reshape(rows, length, d)
        output = self.attention["output"]
        attended = output.LayerNorm(x + output.dropout(output.dense(context)))
        if self.is_code:
            x = self.layer_norm_1(x + attended)
            up, gate = self.mlp.up_gated_layer(x).chunk(2, dim=-1)
            return self.layer_norm_2(x + self.mlp.down_layer(self.mlp.dropout(up * self.activation(gate))))
        x = attended
        u, w = self.mlp.gated_layers(x).chunk(2, dim=-1)
        return self.mlp.layernorm(x + self.mlp.wo(self.mlp.dropout(self.activation(u) * w)))


class JinaBertModel(PreTrainedModel):
    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def __init__(self, config, **_):
        super().__init__(config)
        d = config.hidden_size
        self.embeddings = module(
            word_embeddings=nn.Embedding(config.vocab_size, d, padding_idx=config.pad_token_id),
            token_type_embeddings=nn.Embedding(config.type_vocab_size, d),
            LayerNorm=nn.LayerNorm(d, eps=config.layer_norm_eps), dropout=nn.Dropout(config.hidden_dropout_prob))
        self.encoder = module(layer=nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)]))
        self.post_init()

    def _init_weights(self, _):
        pass

    def get_input_embeddings(self):
        return self.embeddings.word_embeddings

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, **_):
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        own = self.embeddings
        x = own.word_embeddings(input_ids) + own.token_type_embeddings(torch.zeros_like(input_ids))
        x = own.dropout(own.LayerNorm(x))
        states = [x]
        for layer in self.encoder.layer:
            states.append(layer(states[-1], attention_mask))
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=tuple(states))


AutoConfig.register("jina_bert", JinaBertConfig)
AutoModel.register(JinaBertConfig, JinaBertModel)
