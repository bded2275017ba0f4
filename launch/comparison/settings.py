"""What is measured: the settings, the losses, the ways to run each program, and the count of floating-point operations.

Legend: D hidden width, F inner width, L layers, n tokens of a sequence, T tokens of a batch.
"""
import dataclasses
import json
import pathlib

MULTIPLE_NEGATIVES = {"name": "MultipleNegativesRankingLoss", "scale": 20.0, "gather_across_devices": True}

# The one place that names a setting's loss: class name and options, the same in both programs.
LOSSES = {
    "minilm-triplets": MULTIPLE_NEGATIVES,
    "mpnet-triplets": MULTIPLE_NEGATIVES,
    "minilm-pairs": MULTIPLE_NEGATIVES,
    "minilm-long": MULTIPLE_NEGATIVES,
}

# Arguments of training that both programs take under the same names.
TRAINING_ARGUMENTS = {"learning_rate": 2.0e-5, "warmup_steps": 1, "max_grad_norm": 1.0, "weight_decay": 0.0, "seed": 42}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One kind of work."""

    name: str
    title: str
    model: str  # as launch/fetch-model knows it
    texts: str  # a file of the data folder, see texts.py
    columns: tuple
    batch: int  # rows per step for each core
    max_seq_length: int  # 0: the model's own
    step_share: float = 1.0  # of --steps and --warmup: long steps need fewer
    peer_share: float = 0.13  # of FMA peak, only for the time estimate

    @property
    def trains(self):
        return self.batch > 0

    def steps(self, wanted):
        """Steps of this setting if `wanted` are requested."""
        return max(1, round(wanted * self.step_share))


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("minilm-triplets", "MiniLM, 64 triplets", "minilm", "triplets.jsonl",
                ("anchor", "positive", "negative"), 64, 128),
        Setting("mpnet-triplets", "MPNet, 16 triplets", "mpnet", "triplets.jsonl",
                ("anchor", "positive", "negative"), 16, 128, peer_share=0.25),
        Setting("minilm-pairs", "MiniLM, 64 STS pairs", "minilm", "pairs.jsonl", ("sentence1", "sentence2"), 64, 128),
        Setting("minilm-long", "MiniLM, 16 pairs of 256 tokens", "minilm", "long.jsonl",
                ("anchor", "positive"), 16, 256, step_share=0.5, peer_share=0.2),
        Setting("minilm-encode", "MiniLM, encode", "minilm", "sentences.jsonl", ("text",), 0, 0),
    )
}


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to use some cores."""

    name: str
    program: str  # tutti or peer
    title: str
    processes: int
    threads: int  # of each process
    gemm: str = ""  # Tutti's GEMM provider; "" if it cannot be chosen


def ways(setting, cores, providers):
    """The ways to run a setting on `cores` cores, in the order in which a round takes them.

    `providers` are the GEMM providers that Tutti can use here; with more than one, OpenBLAS is run beside the best.
    """
    def layout(processes, threads, noun="process"):
        words = f"{processes} {noun}{'' if processes == 1 else 'es' if noun == 'process' else 's'}"
        return f"{words} x {threads} thread{'' if threads == 1 else 's'}"

    best = "auto" if providers else ""
    found = [Way("tutti", "tutti", "Tutti, " + layout(cores, 1, "rank"), cores, 1, best)]
    peer = "sentence-transformers, "
    if cores == 1:
        found.append(Way("peer", "peer", peer + layout(1, 1), 1, 1))
    else:
        kind = " (torchrun)" if setting.trains else " (pool)"
        found.append(Way("peer-processes", "peer", peer + layout(cores, 1) + kind, cores, 1))
        found.append(Way("peer-threads", "peer", peer + layout(1, cores), 1, cores))
    if "openblas" in providers and len(providers) > 1:
        title = "Tutti with OpenBLAS, " + layout(cores, 1, "rank")
        found.insert(2, Way("tutti-openblas", "tutti", title, cores, 1, "openblas"))
    return found


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that its operations follow from."""

    hidden: int
    inner: int
    layers: int

    @classmethod
    def of_model(cls, folder):
        configuration = json.loads((pathlib.Path(folder) / "config.json").read_text(encoding="utf-8"))
        return cls(*(int(configuration[key]) for key in ("hidden_size", "intermediate_size", "num_hidden_layers")))

    def operations(self, tokens, squares, trains):
        """Floating-point operations on real tokens: T = `tokens`, sum of n^2 over sequences = `squares`.

        GEMM parameters P = L (4 D^2 + 2 D F). Forward: 2 P T + 4 L D sum(n^2) (scores, and their product with the
        values); backward is twice that, so training takes 6 P T + 12 L D sum(n^2). Nothing else is counted.
        """
        parameters = self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.inner)
        forward = 2 * parameters * tokens + 4 * self.layers * self.hidden * squares
        return forward * (3 if trains else 1)
