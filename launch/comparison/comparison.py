"""The parts of a comparison: their order, their expected time, and the run through them."""
import time

import machine
import processes
import programs
import tables
from settings import SETTINGS, ways

STARTUP = {"tutti": 2.0, "peer": 10.0}  # seconds, only for the time estimate
TUTTI_SHARE = 0.5  # of FMA peak, likewise


class Comparison:
    """The parts of a comparison, in their order, and what is known about their time."""

    def __init__(self, options, store, runner, cores, providers, rows, shapes):
        self.options, self.store, self.runner = options, store, runner
        self.cores, self.providers = cores, providers
        self.rows, self.shapes = rows, shapes
        self.samples, self.failures, self.walls = [], [], {}
        self.peaks = {}

    def groups(self):
        """(setting, its cores, ways) in the order in which they are run."""
        for name in self.options.only:
            for cores in self.core_sets():
                yield SETTINGS[name], cores, ways(SETTINGS[name], len(cores), self.providers)

    def parts(self):
        """Every part, as if the peer's first way were its best."""
        for setting, cores, found in self.groups():
            peers = [way for way in found if way.program == "peer"]
            for number in range(1, self.options.rounds + 1):
                for way in found:
                    if number == 1 or way not in peers[1:]:
                        yield setting, cores, way, number

    def name(self, setting, cores, way, number):
        return f"{setting.name}.{len(cores)}-core.{way.name}.round-{number}"

    def estimate(self, setting, cores, way):
        """Seconds that a part may take: as long as the same part did before, else by its operations."""
        known = self.walls.get((setting.name, len(cores), way.name))
        if known:
            return known
        rows = self.rows[setting.texts]
        lengths = [2 + 1.3 * len(row[column].split()) for row in rows[:200] for column in setting.columns]
        if setting.max_seq_length:
            lengths = [min(length, setting.max_seq_length) for length in lengths]
        count = self.options.sentences
        if setting.trains:
            steps = setting.steps(self.options.steps) + setting.steps(self.options.warmup)
            count = setting.batch * steps * len(setting.columns)  # of each core
        elif way.program == "peer":
            count = (2 * count + 256 * len(programs.BATCH_SIZES)) / len(cores)
        scale = count / len(lengths)
        operations = scale * self.shapes[setting.model].operations(
            sum(lengths), sum(length**2 for length in lengths), setting.trains)
        peak = self.peaks.get(1, [150.0])[0] * 1e9
        share = TUTTI_SHARE if way.program == "tutti" else setting.peer_share
        return STARTUP[way.program] + operations / (peak * share)

    def remaining(self, done):
        return sum(
            self.estimate(setting, cores, way) for setting, cores, way, number in self.parts()
            if self.name(setting, cores, way, number) not in done)

    def core_sets(self):
        """One core, and all."""
        return [self.cores[-1:]] + ([self.cores] if len(self.cores) > 1 else [])

    def measure_peak(self, cores):
        """The FMA peak of some cores, once more; kept in the store with the others."""
        peak = machine.fma_peak(self.runner.tutti, cores)
        if peak:
            self.peaks.setdefault(len(cores), []).append(peak)
        self.store.keep("fma-peaks", self.peaks)

    def run(self):
        """Runs unfinished parts; a failed part is recorded and the others continue."""
        self.peaks = {int(cores): found for cores, found in (self.store.part("fma-peaks") or {}).items()}
        for cores in self.core_sets():
            if len(cores) not in self.peaks:
                self.measure_peak(cores)
        done = {self.name(*part) for part in self.parts() if self.store.part(self.name(*part))}
        total = len(list(self.parts()))
        left = self.remaining(done) / 60
        print(f"{total - len(done)} of {total} parts to run, about {left:.0f} minutes", flush=True)
        for setting, cores, found in self.groups():
            measured = False
            for number in range(1, self.options.rounds + 1):
                for way in found:
                    if number > 1 and way.program == "peer" and self.beaten(setting, cores, way):
                        continue
                    measured |= self.run_part(setting, cores, way, number, done)
            if measured:
                self.measure_peak(cores)

    def beaten(self, setting, cores, way):
        """Whether another of the peer's ways was faster in the first round."""
        known = [s for s in self.samples if (s["setting"], s["cores"]) == (setting.name, len(cores))]
        return tables.best_peer(known) not in (None, way.name)

    def run_part(self, setting, cores, way, number, done):
        """Runs a part unless its sample is stored; returns whether it ran."""
        name = self.name(setting, cores, way, number)
        sample = self.store.part(name)
        ran = sample is None
        if ran:
            try:
                sample = self.runner.sample(
                    setting, way, cores, setting.steps(self.options.steps), setting.steps(self.options.warmup), name)
                self.check(setting, cores, sample)
            except (processes.Failed, OSError, ValueError, KeyError) as error:
                reason = str(error) if isinstance(error, processes.Failed) else f"{type(error).__name__}: {error}"
                self.failures.append(f"{name}: {reason}")
                print(f"FAILED {name}: {reason}", flush=True)
                done.add(name)
                return True
            sample = {
                "setting": setting.name, "cores": len(cores), "way": way.name, "program": way.program,
                "title": way.title, "round": number, "finished": time.time()} | sample
            self.store.keep(name, sample)
        self.samples.append(sample)
        self.walls[(setting.name, len(cores), way.name)] = sample["wall_seconds"]
        done.add(name)
        if ran:
            rate = tables.figure(sample["rows_per_second"])
            print(f"{setting.title}, {way.title}, round {number}: {rate} samples/s, "
                  f"{sample['peak_bytes'] / 1e9:.2f} GB, start-up {sample['startup_seconds']:.1f} s "
                  f"({self.remaining(done) / 60:.0f} min left)", flush=True)
        return ran

    def check(self, setting, cores, sample):
        """Both programs must have done the same work: the same tokens in each step, the same embeddings."""
        if sample.get("largest_difference") is not None and sample["largest_difference"] > 1e-3:
            raise processes.Failed(f"embeddings differ from Tutti's by {sample['largest_difference']:.2g}")
        others = (s for s in self.samples if (s["setting"], s["cores"]) == (setting.name, len(cores)))
        other = next((s for s in others if "steps" in s), None)
        if other and "steps" in sample:
            counts = [[step["tokens"] for step in s["steps"]] for s in (other, sample)]
            if counts[0] != counts[1]:
                raise processes.Failed(f"tokens of the steps are {counts[1]}; {other['way']} had {counts[0]}")
