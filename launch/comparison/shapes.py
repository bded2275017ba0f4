"""The sizes of an encoder that the count of its floating-point operations follows from, read from its config.json.

Legend: D hidden width, F inner width, L layers, HE width of all heads, KE width of the key heads, n tokens of a sequence,
T tokens of a batch.
"""
import dataclasses
import json
import pathlib

GATED = ("modernbert", "qwen3")  # three matrices in a feed-forward block; the others have two


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes; what is 0 is as in BERT."""

    hidden: int
    inner: int
    layers: int
    heads: int = 0  # HE; 0: D
    keys: int = 0  # KE; 0: HE
    matrices: int = 2  # of a feed-forward block
    windowed: int = 0  # layers in which a token sees `window` tokens on either side
    window: int = 0
    causal: bool = False  # a token sees those before it

    @classmethod
    def of_model(cls, folder):
        path = pathlib.Path(folder) / "config.json"
        if not path.is_file():
            return cls(0, 0, 0)  # a table of embeddings: nothing is multiplied
        settings = json.loads(path.read_text(encoding="utf-8"))
        if settings["model_type"] == "distilbert":
            return cls(settings["dim"], settings["hidden_dim"], settings["n_layers"])
        layers = settings["num_hidden_layers"]
        more = {"matrices": 3} if settings["model_type"] in GATED else {}
        if settings["model_type"] == "modernbert":
            types = settings.get("layer_types") or [
                "full_attention" if layer % settings["global_attn_every_n_layers"] == 0 else "sliding_attention"
                for layer in range(layers)]
            more |= {"windowed": types.count("sliding_attention"), "window": settings["local_attention"] // 2}
        if settings["model_type"] == "qwen3":
            more |= {"heads": settings["num_attention_heads"] * settings["head_dim"], "causal": True,
                     "keys": settings["num_key_value_heads"] * settings["head_dim"]}
        return cls(settings["hidden_size"], settings["intermediate_size"], layers, **more)

    def seen(self, length):
        """Pairs of a token and a token it sees, in a sequence, mean over layers; n^2 of BERT."""
        whole = length * (length + 1) / 2 if self.causal else length**2
        if not self.windowed:
            return whole
        beyond = max(0, length - self.window - 1)
        near = length**2 - beyond * (beyond + 1)
        return (whole * (self.layers - self.windowed) + near * self.windowed) / self.layers

    def operations(self, tokens, squares, trains):
        """Floating-point operations on real tokens: T = `tokens`, sum of what sequences see = `squares`.

        GEMM parameters P = L (2 D HE + 2 D KE + 2 D F; 3 D F if gated). Forward: 2 P T + 4 L HE squares (scores, and their
        product with the values); backward is twice that, so training takes 6 P T + 12 L HE squares. Nothing else is counted.
        """
        heads = self.heads or self.hidden
        keys = self.keys or heads
        parameters = self.layers * self.hidden * (2 * heads + 2 * keys + self.matrices * self.inner)
        forward = 2 * parameters * tokens + 4 * self.layers * heads * squares
        return forward * (3 if trains else 1)
