"""The output folder: what was asked for, one file for each finished part, and the results.

    run.json            what must not change between the parts of one comparison
    parts/NAME.json     a finished part's sample; it is not run again
    data/ logs/ work/   the texts, standard error of each part, and what parts write while they run
    results.json results.md results.svg
"""
import json
import os
import shutil


class OtherRun(Exception):
    """The folder holds something else than this comparison."""


class Store:
    """The output folder of one comparison."""

    def __init__(self, folder, fresh):
        self.folder = folder
        self.identity = folder / "run.json"
        if folder.exists() and any(folder.iterdir()) and not self.identity.is_file():
            raise OtherRun(f"{folder} is not empty and holds no comparison")
        if fresh and folder.exists():
            shutil.rmtree(folder)
        for name in ("parts", "data", "logs", "work"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def claim(self, identity):
        """Goes on with the same comparison, or begins it; throws OtherRun where something differs."""
        if self.identity.is_file():
            before = json.loads(self.identity.read_text())
            differing = [key for key in sorted(identity.keys() | before.keys()) if identity.get(key) != before.get(key)]
            if differing:
                raise OtherRun(f"{self.folder} holds a comparison with another {', '.join(differing)}")
        else:
            self.write(self.identity, identity)

    def write(self, path, value):
        """Writes JSON, whole or not at all."""
        work = path.with_name(path.name + ".tmp")
        work.write_text(json.dumps(value, indent=1), encoding="utf-8")
        os.replace(work, path)

    def part(self, name):
        """The sample of a finished part, or None."""
        path = self.folder / "parts" / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def keep(self, name, sample):
        self.write(self.folder / "parts" / f"{name}.json", sample)
