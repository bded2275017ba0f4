"""What transformers' BPE tokenizer classes make of small folders: tokenizer-classes-bpe.json, read by Tests/TextTests.

Run: python3 tokenizer_classes_bpe.py  (transformers and tokenizers as in launch/comparison/requirements.txt; no torch)
Each case is a folder of files, given as texts, with the ids that AutoTokenizer gives to every text.
"""
import json
import os
import sys
import tempfile

sys.path.pop(0)  # this folder's tokenizers.py is not the package

from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["the fox", " The  fox ", "don't DON'T 12345 x2", "a <mask> b  <mask>", "x<s>y</s> <pad>the", "cafe\u0301 é ① ﬁ", "[MASK] [CLS]x [SEP] \n [MASK]",
         "\n\nthe\tfox\r\n ", "▁the fox ▁", "<|endoftext|>the covidvax!", "中文 the", ""]
MERGES = ["t h", "th e", "Ġ the", "f o", "fo x", "Ġ fox", "Ġ f", "1 2", "12 3", "3 4", "e Ì", "eÌ ģ", "Ã ©", "Ġ Ġ", "o n", "' t", "d on"]
PIECES = ["t h", "th e", "▁ the", "f o", "fo x", "▁ fox", "1 2", "▁ ▁", "o n"]


def byte_vocabulary(special):
    tokens = list(special) + sorted(ByteLevel.alphabet())
    tokens += [m.replace(" ", "") for m in MERGES if m.replace(" ", "") not in tokens]
    known = set(tokens)
    merges = [m for m in MERGES if set(m.split(" ")) <= known]
    return {t: i for i, t in enumerate(tokens)}, merges


def piece_vocabulary(special):
    tokens = list(special) + [f"<0x{b:02X}>" for b in range(256)] + list("▁thefoxdn'12345aebcTDON")
    tokens = list(dict.fromkeys(tokens)) + [m.replace(" ", "") for m in PIECES]
    return {t: i for i, t in enumerate(dict.fromkeys(tokens))}, PIECES


def token(content, **flags):
    base = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {**base, **flags}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def tokenizer_json(special, vocabulary=byte_vocabulary, normalizer=None, pre=BYTES, post=None, added=(), **model):
    vocab, merges = vocabulary(special)
    listed = [{"id": vocab[t], **token(t)} for t in special] + [{"id": len(vocab) + i, **t} for i, t in enumerate(added)]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": listed, "normalizer": normalizer, "pre_tokenizer": pre,
        "post_processor": post, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges, **model}}, ensure_ascii=False)


def template(special, single):
    ids = {t: i for i, t in enumerate(special)}
    pieces = [{"Sequence": {"id": "A", "type_id": 0}} if p == "$A" else {"SpecialToken": {"id": p, "type_id": 0}} for p in single]
    return {"type": "TemplateProcessing", "single": pieces, "pair": pieces + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {p: {"id": p, "ids": [ids[p]], "tokens": [p]} for p in single if p != "$A"}}


def case(name, model, tokens, file=None, vocabulary=byte_vocabulary, **files):
    texts = {"config.json": json.dumps({"model_type": model} if isinstance(model, str) else model)}
    if file:
        texts["tokenizer.json"] = file
    else:
        vocab, merges = vocabulary(tokens)
        texts["vocab.json"] = json.dumps(vocab, ensure_ascii=False)
        texts["merges.txt"] = "#version: 0.2\n" + "\n".join(merges) + "\n"
    names = {"config": "tokenizer_config.json", "special": "special_tokens_map.json", "added": "added_tokens.json"}
    for key, value in files.items():
        texts[names[key]] = json.dumps(value, ensure_ascii=False)
    return name, texts


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DEBERTA = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
GPT = ["<|endoftext|>", "<|padding|>"]
LLAMA = ["<unk>", "<s>", "</s>"]
GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
LOWER = {"type": "Lowercase"}
SPACED = {**BYTES, "add_prefix_space": True}
THREES = {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}|\s+"}, "behavior": "Isolated", "invert": False}, {**BYTES, "use_regex": False}]}
WORDS = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
FALLBACK = dict(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
VAX = token("covidvax", special=False, normalized=True)

CASES = [
    case("roberta: vocabulary", "roberta", ROBERTA),
    case("roberta: vocabulary and class", "roberta", ROBERTA, config={"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}),
    case("roberta: vocabulary, mask in the map", "roberta", ROBERTA, special={"mask_token": token("<mask>", lstrip=True), "cls_token": "<s>"}),
    case("roberta: vocabulary, decoder", "roberta", ROBERTA, config={"tokenizer_class": "RobertaTokenizer", "added_tokens_decoder": {
        "4": token("<mask>", lstrip=True, normalized=True), "400": VAX}}),
    case("roberta: vocabulary, flags of the template", "roberta", ROBERTA,
         config={"tokenizer_class": "RobertaTokenizer", "add_bos_token": True, "add_eos_token": False}),
    case("roberta: the class ignores normalizer and template", "roberta", ROBERTA, config={"tokenizer_class": "RobertaTokenizer"},
         file=tokenizer_json(ROBERTA, normalizer=LOWER, pre=SPACED, post=template(ROBERTA, ["$A"]))),
    case("roberta: the configuration's blank", "roberta", ROBERTA, file=tokenizer_json(ROBERTA),
         config={"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": True}),
    case("roberta: no class named", "roberta", ROBERTA, file=tokenizer_json(ROBERTA, normalizer=LOWER, added=[VAX])),
    case("roberta: PreTrainedTokenizerFast follows the file", "roberta", ROBERTA, config={"tokenizer_class": "PreTrainedTokenizerFast"},
         file=tokenizer_json(ROBERTA, normalizer=LOWER, pre=SPACED, post=template(ROBERTA, ["<s>", "$A"]))),
    case("file: flags of the template do not count", "roberta", ROBERTA, config={"tokenizer_class": "TokenizersBackend", "add_bos_token": True,
         "add_eos_token": True, "bos_token": "<s>", "eos_token": "</s>"}, file=tokenizer_json(ROBERTA, post=template(ROBERTA, ["$A", "</s>"]))),
    case("file: no template, flags", "llama", ROBERTA, config={"tokenizer_class": "TokenizersBackend", "add_bos_token": True,
         "bos_token": "<s>", "eos_token": "</s>"}, file=tokenizer_json(ROBERTA)),
    case("file: the decoder gives other flags", "llama", ROBERTA, file=tokenizer_json(ROBERTA), config={
        "tokenizer_class": "TokenizersBackend", "added_tokens_decoder": {"4": token("<mask>", lstrip=True), "400": VAX}}),
    case("file: extra special tokens", "llama", ROBERTA, config={
        "tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": ["fox", "<s>", "don"], "mask_token": "<mask>"},
         file=tokenizer_json(ROBERTA, added=[token("fox", special=False, normalized=True, rstrip=True)])),
    case("file: the map gives other flags", "llama", ROBERTA, file=tokenizer_json(ROBERTA), config={"tokenizer_class": "TokenizersBackend"},
         special={"mask_token": token("<mask>", lstrip=True, rstrip=True), "additional_special_tokens": ["covid"]}),
    case("file: added_tokens.json", "llama", ROBERTA, file=tokenizer_json(ROBERTA), config={"tokenizer_class": "TokenizersBackend"},
         added={"covidvax": 400, "fox": 265}),
    case("modernbert: a class that does not count", "modernbert", ROBERTA, config={"tokenizer_class": "RobertaTokenizer"},
         file=tokenizer_json(ROBERTA, normalizer=LOWER, pre=SPACED)),
    case("deberta: vocabulary", "deberta", DEBERTA),
    case("deberta: file", "deberta", DEBERTA, config={"tokenizer_class": "DebertaTokenizer", "mask_token": "[MASK]"},
         file=tokenizer_json(DEBERTA, normalizer=LOWER)),
    case("gpt2: vocabulary", "gpt2", GPT),
    case("gpt2: file keeps its template", "gpt2", GPT, file=tokenizer_json(GPT, pre=SPACED, post=template(GPT, ["$A", "<|endoftext|>"])),
         config={"tokenizer_class": "GPT2Tokenizer"}),
    case("gpt_neox: file loses its template", "gpt_neox", GPT, config={"tokenizer_class": "GPTNeoXTokenizer"},
         file=tokenizer_json(GPT, post=template(GPT, ["$A", "<|endoftext|>"]))),
    case("qwen2: vocabulary", "qwen2", GPT),
    case("qwen2: vocabulary, flags of the template", "qwen2", GPT, config={
        "tokenizer_class": "Qwen2Tokenizer", "add_bos_token": True, "add_eos_token": True}),
    case("gpt2: vocabulary, flags of the template", "gpt2", GPT, config={
        "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_eos_token": True}),
    case("qwen2: file", "qwen2", GPT, config={"tokenizer_class": "Qwen2Tokenizer"},
         file=tokenizer_json(GPT, normalizer=LOWER, pre=THREES, post=template(GPT, ["$A", "<|endoftext|>"]))),
    case("qwen3: file", "qwen3", GPT, config={"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": True}, file=tokenizer_json(GPT, pre=THREES)),
    case("qwen3.5: file", "qwen3_5", GPT, config={"tokenizer_class": "Qwen3_5Tokenizer"}, file=tokenizer_json(GPT, pre=THREES)),
    case("llama: file", "llama", LLAMA, config={"tokenizer_class": "LlamaTokenizer"},
         file=tokenizer_json(LLAMA, piece_vocabulary, normalizer=LOWER, pre=WORDS, post=template(LLAMA, ["<s>", "$A"]), **FALLBACK)),
    case("llama: legacy", "llama", LLAMA, config={"tokenizer_class": "LlamaTokenizerFast", "legacy": True},
         file=tokenizer_json(LLAMA, piece_vocabulary, pre=WORDS, **FALLBACK)),
    case("llama: no blank", "llama", LLAMA, config={"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
         file=tokenizer_json(LLAMA, piece_vocabulary, pre=WORDS, **FALLBACK)),
    case("llama: byte-level file", "llama", ROBERTA, config={"tokenizer_class": "LlamaTokenizer"}, file=tokenizer_json(ROBERTA, normalizer=LOWER)),
    case("mistral: a class that does not count", "mistral", LLAMA, config={"tokenizer_class": "LlamaTokenizer"},
         file=tokenizer_json(LLAMA, piece_vocabulary, normalizer=LOWER, pre=WORDS, **FALLBACK)),
    case("gemma: file", "gemma", GEMMA, config={"tokenizer_class": "GemmaTokenizer"},
         file=tokenizer_json(GEMMA, piece_vocabulary, normalizer=LOWER, pre=WORDS, post=template(GEMMA, ["<bos>", "$A"]), **FALLBACK)),
    case("gemma3: no class named", "gemma3_text", GEMMA, file=tokenizer_json(GEMMA, piece_vocabulary, normalizer=LOWER, **FALLBACK)),
]


def main():
    out = []
    for name, files in CASES:
        with tempfile.TemporaryDirectory() as folder:
            for file, text in files.items():
                with open(os.path.join(folder, file), "w", encoding="utf-8") as handle:
                    handle.write(text)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = [tokenizer(text)["input_ids"] for text in TEXTS]
        out.append({"name": name, "files": files, "ids": ids})
    with open(os.path.join(HERE, "tokenizer-classes-bpe.json"), "w", encoding="utf-8") as handle:
        json.dump({"texts": TEXTS, "cases": out}, handle, ensure_ascii=False, indent=0)
        handle.write("\n")


main()
