#!/usr/bin/env python3
"""Goldens of models whose modules work on words and tokens: tiny ones saved by the reference, their embeddings, gradients,
eight steps of training.

Made with: sentence-transformers 6.2.0, torch 2.15.0, transformers 5.23.0, scikit-learn 1.9.1, one thread.
    python token_modules.py        writes Tests/Golden/token-modules/ (reads the rows of families.py)
    words      frozen WordEmbeddings of a text file (words/vectors.txt), mean pooling, Dense
    weights    trained WordEmbeddings, WordWeights, all means of Pooling, Dense
    bow        BoW with weights, two Dense
    counts     BoW that counts each word once, Dense
    wrapper    trained WordEmbeddings behind a tokenizer of the transformers library, CNN, the last token
    cnn        a BERT, CNN, Pooling of mean and maximum
    lstm       frozen WordEmbeddings, an LSTM of two layers in both directions, mean and maximum
    forwards   trained WordEmbeddings, an LSTM of one layer in one direction, mean
    layers     a BERT, WeightedLayerPooling from layer 1, mean
Each folder holds
    model/                 as sentence-transformers saves it
    expected.safetensors   embeddings of TEXTS, encoded one by one; coefficients; gradient.<folder>/<tensor> of
                           sum(coefficients * embeddings) and end.<folder>/<tensor> after eight steps, both in float64
    expected.json          learning_rate, the loss and gradient norm of each step; movement: how far the weights went, relative
                           to the size of those that are trained
Texts go through the model one by one: padding is no part of what is tested. ids.json: the token ids of the tokenizer of
words. pca.safetensors: embeddings and the components that scikit-learn finds.
"""
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # behind the packages: a file beside this one is called tokenizers.py

import numpy
import torch
from families import (
    HERE as FAMILIES, LIMIT, MOVEMENT, VOCABULARY, WORDS, descend, randomise, saved_tensors, write_tokenizer)
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.sentence_transformer.modules import (
    CNN, LSTM, BoW, Dense, Pooling, Transformer, WeightedLayerPooling, WordEmbeddings, WordWeights)
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
from sklearn.decomposition import PCA
from transformers import AutoTokenizer, BertConfig, BertModel

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent / "token-modules"
WIDTH = 12
TEXTS = ["cece foce hace bafo", "The Cece, and (foce)! HACE", "gugu", "nothing known", "ba", "",
         "baba ΒΑΣ baba\u00a0cece\u3000foce --hace--", "  ", "gugu difo gufo jegu hafo cefo baje guha gugu gugu"]


def vectors():
    """A file of vectors with what real ones have: a word twice, capitals, punctuation, a line of another length."""
    draw = numpy.random.default_rng(3)
    names = WORDS + ["The", "HACE", "hace!", "βας", "cece", "."]
    lines = [" ".join([w] + [f"{x:.5g}" for x in draw.normal(size=WIDTH)]) for w in names]
    lines.insert(4, "broken 1 2 3")
    path = HERE / "words" / "vectors.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def frequencies():
    """Documents, and those that have a word; some of the words are capital."""
    path = HERE / "words" / "frequencies.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["1000"] + [f"{w.title() if i % 5 == 0 else w}\t{3 + 7 * i}" for i, w in enumerate(WORDS[:40])]
    path.write_text("\n".join(lines) + "\n")
    rows = [line.split("\t") for line in lines[1:]]
    return {w: float(numpy.log(1000 / int(n))) for w, n in rows}


def bert(folder, **more):
    model = BertModel(BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=LIMIT, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **more))
    randomise(model, 1.0)
    model.save_pretrained(folder)
    write_tokenizer(folder, 0)
    return Transformer(folder)


def glove(trained):
    return WordEmbeddings.from_text_file(vectors(), update_embeddings=trained)


def words(folder):
    return [glove(False), Pooling(WIDTH), Dense(WIDTH, 10)]


def weights(folder):
    module = glove(True)
    known = frequencies()
    return [module, WordWeights(module.tokenizer.get_vocab(), known, unknown_word_weight=2.5),
            Pooling(WIDTH, ("mean", "mean_sqrt_len_tokens", "weightedmean", "max")), Dense(4 * WIDTH, 10)]


def bow(folder):
    return [BoW(WORDS + ["cece", "The"], frequencies(), unknown_word_weight=0.5), Dense(60 - 1, 12), Dense(12, 10)]


def counts(folder):
    return [BoW(WORDS, cumulative_term_frequency=False), Dense(58, 10)]


def wrapper(folder):
    write_tokenizer(folder, 0)
    torch.manual_seed(8)
    table = torch.randn(VOCABULARY, WIDTH).numpy()
    return [WordEmbeddings(AutoTokenizer.from_pretrained(folder), table, update_embeddings=True, max_seq_length=9),
            CNN(WIDTH, 6, [3, 5]), Pooling(12, "lasttoken")]


def cnn(folder):
    return [bert(folder), CNN(WIDTH, 7, [1, 3, 5]), Pooling(21, ("mean", "max"))]


def lstm(folder):
    return [glove(False), LSTM(WIDTH, 5, num_layers=2), Pooling(10, ("mean", "max"))]


def forwards(folder):
    return [glove(True), LSTM(WIDTH, 9, bidirectional=False), Pooling(9, "mean")]


def layers(folder):
    module = WeightedLayerPooling(WIDTH, num_hidden_layers=2, layer_start=1)
    module.layer_weights.data = torch.tensor([0.7, 1.9])
    return [bert(folder, output_hidden_states=True), module, Pooling(WIDTH)]


def alone(model, texts):
    """The embeddings of texts, each in a batch of its own."""
    rows = []
    for text in texts:
        features = {k: v.double() if torch.is_floating_point(v) else v for k, v in model.preprocess([text]).items()
                    if torch.is_tensor(v)}
        rows.append(model(features)["sentence_embedding"])
    return torch.cat(rows)


def train(folder, rows, rate):
    model = SentenceTransformer(str(folder), device="cpu").double().train()
    loss = losses.MultipleNegativesRankingLoss(model)

    def loss_of(batch):
        return loss.compute_loss_from_embeddings([alone(model, [r[c] for r in batch]) for c in ("anchor", "positive")], None)

    return model, descend([p for p in model.parameters() if p.requires_grad], rows, rate, loss_of)


def gradients(folder, texts, coefficients):
    """Of every trained tensor, by file and tensor."""
    model = SentenceTransformer(str(folder), device="cpu").double().eval()
    embeddings = alone(model, texts)
    (coefficients * embeddings).sum().backward()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.grad if p.grad is not None else torch.full_like(p, float("nan")))
    return embeddings, {n: t for n, t in saved_tensors(model).items() if not t.isnan().any()}


def make(build, rows):
    name = build.__name__
    out = HERE / name
    shutil.rmtree(out / "model", ignore_errors=True)
    torch.manual_seed(4)
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformer(modules=build(folder), device="cpu").save(str(out / "model"), create_model_card=False)
    model = SentenceTransformer(str(out / "model"), device="cpu")
    # The maximum of no tokens is -infinity: texts without known words are left to the other poolings.
    texts = TEXTS if name in ("words", "bow", "counts", "wrapper", "cnn", "forwards", "layers") else TEXTS[:3] + TEXTS[6:7]
    single = torch.cat([model.encode([t], convert_to_tensor=True) for t in texts])
    coefficients = torch.randn(single.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    coefficients = coefficients.float().double()
    _, slopes = gradients(out / "model", texts, coefficients)
    golden = {"embeddings": single, "coefficients": coefficients.float()}
    golden |= {"gradient." + n: t for n, t in slopes.items()}
    start, rate = saved_tensors(model), 0.3
    for _ in range(8):
        model, steps = train(out / "model", rows, rate)
        end = saved_tensors(model)
        trained = [n for n in end if not torch.equal(end[n], start[n])]
        size = sum(float(start[n].double().square().sum()) for n in trained) ** 0.5
        moved = sum(float((end[n] - start[n]).double().square().sum()) for n in trained) ** 0.5 / size
        if 0.01 <= moved <= 0.0135:
            break
        rate = float(f"{rate * MOVEMENT / moved:.2g}")
    else:
        raise SystemExit(f"{name}: no rate moves the weights by 1 to 1.35 %")
    golden |= {"end." + n: end[n] for n in trained}
    save_file({n: t.detach().contiguous() for n, t in golden.items()}, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(
        {"learning_rate": rate, "texts": texts, "steps": steps, "movement": moved}, indent=1) + "\n")
    print(f"{name:10} loss {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}, movement {moved:.4f} at rate {rate}")


def ids():
    """Token ids of texts with all kinds of white space, case and punctuation."""
    vocabulary = ["PAD", "the", "Straße", "ΣΑΣ", "σας", "i̇", "x.y", "don't", "--", "e\u0301", "\u00e9", "co", "word", ""]
    texts = TEXTS + ["The STRASSE straße", "σας ΣΑΣ ΑΣ", "İ i̇", "x.y ...x.y!!! X.Y", "Don't don't 'don't'", "-- word-- (--)",
                     "e\u0301 \u00e9 E\u0301 \u00c9", "co CO word\x1cword\x85word\u2028word", "a b the of word"]
    cases = []
    for stop, lower in ((None, False), ([], False), ([], True), (["word", "the"], True)):
        more = {} if stop is None else {"stop_words": stop}
        tokenizer = WhitespaceTokenizer(vocabulary, do_lower_case=lower, **more)
        cases.append({"stop_words": stop, "do_lower_case": lower, "ids": [tokenizer.tokenize(t) for t in texts]})
    (HERE / "ids.json").write_text(json.dumps({"vocab": vocabulary, "texts": texts, "cases": cases}, indent=1) + "\n")


def pca():
    rows = torch.randn(90, WIDTH, generator=torch.Generator().manual_seed(2)) * torch.arange(1, WIDTH + 1) ** 1.5 + 3
    found = PCA(n_components=5, svd_solver="full").fit(rows.double().numpy())
    save_file({"embeddings": rows.contiguous(), "components": torch.tensor(found.components_).float().contiguous()},
              HERE / "pca.safetensors")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    rows = [json.loads(line) for line in (FAMILIES / "rows" / "pairs.jsonl").read_text().splitlines()]
    for build in (words, weights, bow, counts, wrapper, cnn, lstm, forwards, layers):
        make(build, rows)
    ids()
    pca()
