"""What transformers' classes over SentencePiece make of small folders: tokenizer-classes-unigram.json, read by Tests/TextTests.

Run: python3 tokenizer_classes_unigram.py  (transformers 5.23, tokenizers 0.23.3, sentencepiece 0.2.3; no torch)
Each case is a folder: file names and their texts, or the name of a file in `assets` (base64), with the ids that AutoTokenizer gives
to every text. The folders differ in what holds the vocabulary and in what tokenizer_config.json says.
"""
import base64
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != HERE] + [HERE]
import sentencepiece_models as source
from transformers import AutoTokenizer

SPACE = "\u2581"
TEXTS = [
    "the cello and the viola", "  The Drum,  played ``loud''  ", "a\tnote\nand\r\na score ", "ÉCOLE naïve ﬁne cafe\u0301 １２３ ｶﾞ",
    "<s> band </s> <pad> <unk> <mask> x", "[CLS] band [SEP] [PAD] [UNK] a  [MASK]  b", "<extra_id_0> tune <extra_id_99>", "solo notes",
    "日本語 한국어 Здравствуй ქართული", "voice-over! (loud), o'clock... 42%", "", " ", SPACE + "a " + SPACE, "\u200btune\u00a0up\u3000",
    "<s>NOTUSED </s>NOTUSED", "ꙮ unknown 👩‍🎻 tune", "Straße İstanbul", "<0x41> A"]


def metaspace(scheme="always"):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": True}


def token(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


def document(vocab, unknown, special, charsmap=None, older=False, post=None, **members):
    normalizer = {"type": "Precompiled", "precompiled_charsmap": charsmap} if charsmap else None
    if older:
        steps = [normalizer] if normalizer else []
        normalizer = {"type": "Sequence", "normalizers": steps + [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    pre = metaspace() if older else {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace()]}
    ids = {piece: place for place, (piece, _) in enumerate(vocab)}
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": ids[t], **token(t, lstrip=t == "<mask>")} for t in special], "normalizer": normalizer,
        "pre_tokenizer": pre, "post_processor": post, "decoder": metaspace(),
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocab}, **members}, ensure_ascii=False)


def template(cls, sep, ids):
    part = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    single = [part(cls), {"Sequence": {"id": "A", "type_id": 0}}, part(sep)]
    return {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {
        t: {"id": t, "ids": [ids.index(t)], "tokens": [t]} for t in (cls, sep)}}


def files():
    """The assets: SentencePiece models, and tokenizer.json files made of them."""
    plain = source.model(11, 360)
    bert = source.model(12, 330, pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]", eos_piece="[SEP]",
                        user_defined_symbols=["[MASK]", "solo"])
    deberta = source.model(13, 330, rule="identity", pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
                           eos_piece="[SEP]", unk_piece="[UNK]")
    t5 = source.model(14, 330, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    llama = source.model(15, 600, rule="identity", model_type="bpe", byte_fallback=True)
    bytes_ = source.model(16, 560, byte_fallback=True)
    yield "plain.model", plain.SerializeToString()
    yield "bert.model", bert.SerializeToString()
    yield "deberta.model", deberta.SerializeToString()
    yield "t5.model", t5.SerializeToString()
    yield "llama.model", llama.SerializeToString()
    yield "bytes.model", bytes_.SerializeToString()
    charsmap = base64.b64encode(plain.normalizer_spec.precompiled_charsmap).decode()
    first = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    xlmr = first + source.pairs(plain)[3:] + [["<mask>", 0.0]]
    names = [piece for piece, _ in xlmr]
    yield "xlmr.json", document(xlmr, 3, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], charsmap, post=template("<s>", "</s>", names))
    yield "xlmr-older.json", document(xlmr, 3, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], charsmap, older=True)
    yield "xlmr-plain.json", document(xlmr, 3, [], None)
    camembert = [["<s>NOTUSED", 0.0], ["<pad>", 0.0], ["</s>NOTUSED", 0.0], ["<unk>", 0.0], ["<unk>NOTUSED", -100.0]]
    camembert += source.pairs(plain)[1:] + [["<mask>", 0.0]]
    yield "camembert.json", document(camembert, 3, ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<mask>"], charsmap, older=True)
    albert = source.pairs(bert)
    names = [piece for piece, _ in albert]
    yield "albert.json", document(albert, 1, ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], charsmap, post=template("[SEP]", "[CLS]", names))
    yield "albert-bare.json", document(albert, 1, ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    pieces = source.pairs(deberta)
    yield "deberta.json", document(pieces, 3, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], charsmap, older=True)
    extra = source.pairs(t5) + [[f"<extra_id_{i}>", 0.0] for i in range(99, -1, -1)]
    yield "t5.json", document(extra, 2, ["<pad>", "</s>", "<unk>"] + [f"<extra_id_{i}>" for i in range(100)], charsmap, older=True)


def case(name, model, asset, as_name="tokenizer.json", **texts):
    config = model if isinstance(model, dict) else {"model_type": model}
    names = {"config": "tokenizer_config.json", "special": "special_tokens_map.json", "added": "added_tokens.json"}
    out = {"config.json": json.dumps(config), as_name: {"asset": asset}}
    out.update({names[key]: json.dumps(value, ensure_ascii=False) for key, value in texts.items()})
    return name, out


def named(name, **more):
    return {"tokenizer_class": name, **more}


def cases():
    bpe = "sentencepiece.bpe.model"
    for kind, args in (("file", ("xlmr.json",)), ("model", ("plain.model", bpe))):
        yield case(f"XLM-R {kind}", "xlm-roberta", *args)
        yield case(f"XLM-R {kind}, class named", "bert", *args, config=named("XLMRobertaTokenizerFast"))
        yield case(f"XLM-R {kind}, no marks", "xlm-roberta", *args, config=named("XLMRobertaTokenizer", add_prefix_space=False))
        yield case(f"XLM-R {kind}, mask with flags", "xlm-roberta", *args, config=named("XLMRobertaTokenizer", mask_token=token("<mask>", lstrip=True, __type="AddedToken")))
        yield case(f"XLM-R {kind}, more tokens", "xlm-roberta", *args, config=named("XLMRobertaTokenizer", additional_special_tokens=["solo"]))
    yield case("XLM-R older file", "xlm-roberta", "xlmr-older.json")
    yield case("XLM-R plain file", "xlm-roberta", "xlmr-plain.json")
    yield case("XLM-R file followed", "xlm-roberta", "xlmr-older.json", config=named("PreTrainedTokenizerFast"))
    yield case("XLM-R-XL follows the file", "xlm-roberta-xl", "xlmr-older.json", config=named("XLMRobertaTokenizer"))
    yield case("GTE", "gte", "xlmr.json")
    yield case("XLM-R model, boundaries by flags", "xlm-roberta", "plain.model", bpe, config=named("XLMRobertaTokenizer", add_bos_token=True, add_eos_token=False))
    yield case("XLM-R model, renamed tokens", "xlm-roberta", "plain.model", bpe, config=named("XLMRobertaTokenizer", bos_token="[CLS]", eos_token="[SEP]", mask_token="[MASK]"))
    yield case("CamemBERT file", "camembert", "camembert.json")
    yield case("CamemBERT model", "camembert", "plain.model", bpe)
    yield case("CamemBERT model, class named", "camembert", "plain.model", bpe, config=named("CamembertTokenizer", additional_special_tokens=["<s>NOTUSED", "</s>NOTUSED"]))
    for kind, args in (("file", ("albert.json",)), ("bare file", ("albert-bare.json",)), ("model", ("bert.model", "spiece.model"))):
        yield case(f"ALBERT {kind}", "albert", *args)
        yield case(f"ALBERT {kind}, cased with accents", "albert", *args, config=named("AlbertTokenizer", do_lower_case=False, keep_accents=True))
    yield case("ALBERT model, boundaries by flags", "albert", "bert.model", "spiece.model", config=named("AlbertTokenizer", add_bos_token=True))
    for kind, args in (("file", ("deberta.json",)), ("model", ("deberta.model", "spm.model"))):
        yield case(f"DeBERTa {kind}", "deberta-v2", *args)
        yield case(f"DeBERTa {kind}, lower case and punctuation", "deberta-v2", *args, config=named("DebertaV2Tokenizer", do_lower_case=True, split_by_punct=True))
        yield case(f"DeBERTa {kind}, first", "deberta-v2", *args, config=named("DebertaV2TokenizerFast", add_prefix_space=False))
    yield case("DeBERTa model, an added mask", "deberta-v2", "deberta.model", "spm.model", added={"[MASK]": 256}, config=named("DebertaV2Tokenizer"))
    yield case("T5 file", "t5", "t5.json")
    yield case("T5 model", "t5", "t5.model", "spiece.model")
    yield case("T5 model, ten sentinels", "t5", "t5.model", "spiece.model", config=named("T5Tokenizer", extra_ids=10))
    yield case("T5 file, tokens named", "mt5", "t5.json", config=named("T5Tokenizer", additional_special_tokens=[f"<extra_id_{i}>" for i in range(100)]))
    yield case("umT5 model", "umt5", "bytes.model", "tokenizer.model", config=named("T5Tokenizer"))
    yield case("model alone, Unigram", "unheard-of", "bytes.model", "tokenizer.model")
    yield case("model alone, no charsmap", "umt5", "deberta.model", "tokenizer.model", config={"add_bos_token": True, "add_eos_token": True})
    yield case("model alone, BPE", "mistral", "llama.model", "tokenizer.model", config={"add_bos_token": True})
    yield case("Llama model", "llama", "llama.model", "tokenizer.model", config=named("LlamaTokenizer", add_bos_token=True))
    yield case("Llama model, legacy", "llama", "llama.model", "tokenizer.model", config=named("LlamaTokenizerFast", legacy=True, add_eos_token=True))
    yield case("Gemma model", "gemma3_text", "llama.model", "tokenizer.model", config=named("GemmaTokenizer", pad_token="<unk>", bos_token="<s>", eos_token="</s>", add_bos_token=True, add_eos_token=True))


def main():
    assets = {name: data if isinstance(data, bytes) else data.encode() for name, data in files()}
    out = []
    for name, contents in cases():
        with tempfile.TemporaryDirectory() as folder:
            for file, text in contents.items():
                with open(os.path.join(folder, file), "wb") as handle:
                    handle.write(assets[text["asset"]] if isinstance(text, dict) else text.encode())
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = [tokenizer(text)["input_ids"] for text in TEXTS]
        print(f"{name}: {type(tokenizer).__name__}, {len(tokenizer)} tokens", file=sys.stderr)
        out.append({"name": name, "files": contents, "ids": ids})
    packed = {name: base64.b64encode(data).decode() for name, data in assets.items()}
    with open(os.path.join(HERE, "tokenizer-classes-unigram.json"), "w", encoding="utf-8") as handle:
        text = json.dumps({"texts": TEXTS, "assets": packed, "cases": out}, ensure_ascii=False)
        handle.write(text.replace('{"name"', '\n{"name"') + "\n")


main()
