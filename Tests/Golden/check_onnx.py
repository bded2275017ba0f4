"""Opens ONNX files that Tutti wrote, with onnxruntime and with sentence-transformers' ONNX backend, for the tests that
launch/test --real switches on.

Pinned: the packages of launch/comparison/onnx-requirements.txt (Python 3.11), no network.
Run:    python Tests/Golden/check_onnx.py FOLDER
FOLDER/cases.json has the texts, and of every model the token ids of each text; FOLDER/<name> is its folder, FOLDER/<name>.safetensors has Tutti's embeddings. Writes FOLDER/found.json: of every model the
largest difference to those of
  runtime    sentence_embedding of onnx/model.onnx, texts of different lengths padded to one batch
  left       the same, padded on the left
  unmasked   the same as runtime, where padding is not masked: a control, which must differ
  backend    SentenceTransformer(folder, backend="onnx").encode; or closed, why it does not open the folder
  torch      the same, to the embeddings of its backend torch
  bytes      the least cosine with sentence_embedding of the file in bytes
  four_bits  the same of the file in four bits, which is in FOLDER/<name>-int4
  unpacked   the least cosine of these with the embeddings of onnx/model.onnx whose weights are the unpacked codes
  swapped    the same where the two codes of a byte of the file are swapped: a control, which must be less
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


def padded(ids, padding, left=False):
    """input_ids and attention_mask; padding is a token like any other, which only the mask makes harmless."""
    longest = max(map(len, ids))

    def row(values, filler):
        filling = [filler] * (longest - len(values))
        return filling + values if left else values + filling

    rows = numpy.array([row(values, padding) for values in ids], numpy.int64)
    mask = numpy.array([row([1] * len(values), 0) for values in ids], numpy.int64)
    return rows, mask


def run(path, ids, mask):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
    names = [value.name for value in session.get_inputs()]
    return units(session.run(["sentence_embedding"], {name: inputs[name] for name in names})[0])


def halves(codes):
    """The two numbers of each byte of the last axis, the low half first."""
    return numpy.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], -1)


def constants(model):
    return {tensor.name: tensor for tensor in model.graph.initializer}


def swapped(path):
    """A copy of the model in four bits, in which the halves of every byte of codes are swapped."""
    model = onnx.load(str(path))
    for name, tensor in constants(model).items():
        if name.endswith(".codes"):
            codes = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array((codes << 4) | (codes >> 4), name))
    copy = path.with_name("swapped.onnx")
    onnx.save(model, str(copy))
    return copy


def unpacked(path):
    """A copy of the model.onnx beside the file in four bits, with the weights of that one: scale * (code - zero)."""
    small, model = constants(onnx.load(str(path))), onnx.load(str(path.with_name("model.onnx")))
    parts = {name: onnx.numpy_helper.to_array(tensor) for name, tensor in small.items()}
    for name, tensor in constants(model).items():
        weight = name.removesuffix(".transposed")
        if weight + ".codes" not in parts:
            continue
        is_table = weight == name
        rows, columns = tensor.dims if is_table else reversed(tensor.dims)
        codes = halves(parts[weight + ".codes"].reshape(rows, -1))[:, :columns].astype(numpy.int32)
        zeros = halves(parts[weight + ".zeros"].reshape(rows, -1)).astype(numpy.int32)
        of_column = numpy.arange(columns) // 32
        values = parts[weight + ".scales"].reshape(rows, -1)[:, of_column] * (codes - zeros[:, of_column])
        values = numpy.ascontiguousarray(values if is_table else values.T, numpy.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    copy = path.with_name("unpacked.onnx")
    onnx.save(model, str(copy))
    return copy


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
            "left": float(abs(run(path, *padded(case["ids"], case["padding"], left=True)) - wanted).max()),
            "unmasked": float(abs(run(path, ids, numpy.ones_like(mask)) - wanted).max()),
        }
        small = path.with_name("model_qint8_avx512_vnni.onnx")
        onnx.checker.check_model(str(small), full_check=True)
        result["bytes"] = float((run(small, ids, mask) * wanted).sum(axis=1).min())
        small = folder / f"{name}-int4" / "onnx" / "model_q4.onnx"
        onnx.checker.check_model(str(small))
        four_bits, exact = run(small, ids, mask), run(unpacked(small), ids, mask)
        result["four_bits"] = float((four_bits * wanted).sum(axis=1).min())
        result["unpacked"] = float((four_bits * exact).sum(axis=1).min())
        result["swapped"] = float((run(swapped(small), ids, mask) * exact).sum(axis=1).min())
        files = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
        try:
            model = SentenceTransformer(str(folder / name), backend="onnx", model_kwargs=files)
        except (ValueError, TypeError) as error:
            result["closed"] = str(error).splitlines()[0]
        else:
            embeddings = units(model.encode(cases["texts"], batch_size=4))
            result["backend"] = float(abs(embeddings - wanted).max())
            plain = SentenceTransformer(str(folder / name), device="cpu").encode(cases["texts"], batch_size=4)
            result["torch"] = float(abs(embeddings - units(plain)).max())
        print(f"{name}: {result}", flush=True)
        found[name] = result
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
