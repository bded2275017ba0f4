"""Opens ONNX files that Tutti wrote, with onnxruntime and with sentence-transformers' ONNX backend, for the tests that
launch/test --real switches on.

Pinned: the packages of launch/onnx-requirements.txt (Python 3.11), no network.
Run:    python Tests/Golden/check_onnx.py FOLDER
FOLDER/cases.json has the texts, and of every model the token ids of each text and whether sentence-transformers is to open
it; FOLDER/<name> is its folder, FOLDER/<name>.safetensors has Tutti's embeddings. Writes FOLDER/found.json: of every model the
largest difference to those of
  runtime    sentence_embedding of onnx/model.onnx, texts of different lengths padded to one batch
  unmasked   the same, where padding is not masked: a control, which must differ
  backend    SentenceTransformer(folder, backend="onnx").encode
  bytes      the least cosine with sentence_embedding of the file in bytes
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.pop(0)  # scripts of this folder are named as packages are
import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer


def units(rows):
    return rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def padded(ids, padding):
    """input_ids and attention_mask; padding is a token like any other, which only the mask makes harmless."""
    longest = max(map(len, ids))
    rows = numpy.array([row + [padding] * (longest - len(row)) for row in ids], numpy.int64)
    mask = numpy.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids], numpy.int64)
    return rows, mask


def run(path, ids, mask):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
    names = [value.name for value in session.get_inputs()]
    return units(session.run(["sentence_embedding"], {name: inputs[name] for name in names})[0])


def main():
    folder = pathlib.Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    found = {}
    for name, case in cases["models"].items():
        wanted = units(load_file(folder / f"{name}.safetensors")["embeddings"])
        path = folder / name / "onnx" / "model.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        ids, mask = padded(case["ids"], case["padding"])
        result = {
            "runtime": float(abs(run(path, ids, mask) - wanted).max()),
            "unmasked": float(abs(run(path, ids, numpy.ones_like(mask)) - wanted).max()),
        }
        if case["bytes"]:
            small = path.with_name("model_qint8_avx512_vnni.onnx")
            onnx.checker.check_model(str(small), full_check=True)
            result["bytes"] = float((run(small, ids, mask) * wanted).sum(axis=1).min())
        if case["backend"]:
            model = SentenceTransformer(str(folder / name), backend="onnx", model_kwargs={"provider": "CPUExecutionProvider"})
            result["backend"] = float(abs(units(model.encode(cases["texts"], batch_size=4)) - wanted).max())
        print(f"{name}: {result}", flush=True)
        found[name] = result
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
