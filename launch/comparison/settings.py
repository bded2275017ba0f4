"""What is measured: the settings, the losses, and the ways to run each program."""
import dataclasses

MULTIPLE_NEGATIVES = {"name": "MultipleNegativesRankingLoss", "scale": 20.0, "gather_across_devices": True}

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
    usual: bool = True  # runs if --only names nothing
    peer_processes: bool = True  # whether the memory of this machine may hold a replica a core of the peer's

    @property
    def trains(self):
        return self.batch > 0

    def steps(self, wanted):
        """Steps of this setting if `wanted` are requested."""
        return max(1, round(wanted * self.step_share))


def family(name, title, model, batch, max_seq_length, texts="triplets.jsonl", **more):
    """Pairs for a model of full size with random weights; long texts take half as many steps."""
    return Setting(
        name, title, model, texts, ("anchor", "positive"), batch, max_seq_length, usual=False, peer_share=0.25,
        step_share=1.0 if texts == "triplets.jsonl" else 0.5, **more)


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
        family("xlmr-base", "XLM-R base, 16 pairs", "random-xlmr-base", 16, 128),
        family("distilbert", "DistilBERT, 32 pairs", "random-distilbert", 32, 128),
        family("modernbert-256", "ModernBERT base, 8 pairs of 256 tokens", "random-modernbert-base", 8, 256,
               texts="long.jsonl"),
        family("modernbert-1024", "ModernBERT base, 2 pairs of 1024 tokens", "random-modernbert-base", 2, 1024,
               texts="longest.jsonl"),
        family("qwen3-0.6b", "Qwen3 0.6B, 4 pairs", "random-qwen3-0.6b", 4, 128, peer_processes=False),
        family("static", "Static embeddings of 1024, 2048 pairs", "random-static", 2048, 0),
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
        if setting.peer_processes:
            found.append(Way("peer-processes", "peer", peer + layout(cores, 1) + kind, cores, 1))
        found.append(Way("peer-threads", "peer", peer + layout(1, cores), 1, cores))
    if "openblas" in providers and len(providers) > 1:
        title = "Tutti with OpenBLAS, " + layout(cores, 1, "rank")
        found.insert(2, Way("tutti-openblas", "tutti", title, cores, 1, "openblas"))
    return found

# The one place that names a setting's loss: class name and options, the same in both programs.
LOSSES = {name: MULTIPLE_NEGATIVES for name, setting in SETTINGS.items() if setting.trains}
