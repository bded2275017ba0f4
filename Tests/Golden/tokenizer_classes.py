"""What transformers' tokenizer classes make of small folders: tokenizer-classes.json, read by Tests/TextTests.

Run: python3 tokenizer_classes.py  (transformers and tokenizers as in launch/comparison/requirements.txt; no torch)
Each case is a folder of files, given as texts, with the ids that AutoTokenizer gives to every text. The folders differ in
where added tokens are declared and in what tokenizer_config.json says against tokenizer.json.
"""
import json
import os
import sys
import tempfile

sys.path.pop(0)  # this folder's tokenizers.py is not the package

from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ["the", "fox", "covid", "##vax", "is", "The", "Fox", "caf", "##e", "cafe", "café", "中", "文", "中文", "d", "##oc",
         "a", "b", "##b", "[", "]", "doc", "mask", "DOC", "<", ">", "x", "##x", "image"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
MPNET = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"] + WORDS
TEXTS = ["[DOC] the covidvax fox", "The Fox is the fox", "café Café 中文 the", "a [MASK] b [mask] x", "  a <mask> b ",
         "xdocx doc [doc] DOC!", "covidvaxcovidvax covidvax.", "a [SEP] b </s> <image> image", "\u0301e \x00 中 [CLS]"]


def vocabulary(words):
    return "\n".join(words) + "\n"


def token(content, **flags):
    base = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True}
    return {**base, **flags}


def tokenizer_json(words, added=(), lowercase=True, accents=None, chinese=True, post=None, pad="[PAD]"):
    ids = {word: place for place, word in enumerate(words)}
    special = [word for word in words[:5]]
    listed = [{"id": ids[word], **token(word)} for word in special]
    listed += [{"id": place, **entry} for place, entry in added]
    cls, sep = ("[CLS]", "[SEP]") if "[CLS]" in ids else ("<s>", "</s>")
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": listed,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": chinese,
                       "strip_accents": accents, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": post or {"type": "BertProcessing", "sep": [sep, ids[sep]], "cls": [cls, ids[cls]]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids}}, ensure_ascii=False)


def case(name, model="bert", words=BERT, file=None, **files):
    config = {"model_type": model} if isinstance(model, str) else model
    texts = {"config.json": json.dumps(config)}
    texts["tokenizer.json" if file else "vocab.txt"] = file or vocabulary(words)
    names = {"config": "tokenizer_config.json", "special": "special_tokens_map.json", "added": "added_tokens.json"}
    for key, value in files.items():
        texts[names[key]] = json.dumps(value, ensure_ascii=False)
    return name, texts


size = len(BERT)
decoder = {str(size): token("covidvax", special=False, normalized=True), str(size + 1): token("[DOC]")}
flagged = {
    "4": token("[MASK]", lstrip=True), str(size): token("doc", special=False, normalized=True, single_word=True),
    str(size + 1): token("covidvax", special=False, normalized=False, rstrip=True, lstrip=True),
    str(size + 2): token("[DOC]", normalized=True, rstrip=True)}
whole = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}}

CASES = [
    case("vocab: plain"),
    case("vocab: cased", config={"do_lower_case": False, "tokenizer_class": "BertTokenizer"}),
    case("vocab: accents kept", config={"strip_accents": False, "tokenizer_class": "BertTokenizerFast"}),
    case("vocab: Chinese together", config={"tokenize_chinese_chars": False}),
    case("vocab: added_tokens.json", config={"tokenizer_class": "BertTokenizer"},
         added={"covidvax": size, "[DOC]": size + 1}, special={"additional_special_tokens": ["[DOC]"]}),
    case("vocab: added_tokens.json, listed by the configuration", added={"covidvax": size, "[DOC]": size + 1},
         config={"tokenizer_class": "BertTokenizer", "additional_special_tokens": ["[DOC]"]}),
    case("vocab: added_tokens.json in falling order", added={"[DOC]": size + 1, "covidvax": size}),
    case("vocab: added_tokens_decoder", config={"tokenizer_class": "BertTokenizer", "added_tokens_decoder": decoder}),
    case("vocab: added_tokens_decoder with flags",
         config={"tokenizer_class": "BertTokenizer", "added_tokens_decoder": flagged}),
    case("vocab: the decoder alone counts", added={"fox the": size}, special={"additional_special_tokens": ["the"]},
         config={"tokenizer_class": "BertTokenizer", "added_tokens_decoder": decoder}),
    case("vocab: map with objects", config={"tokenizer_class": "BertTokenizer"},
         special={"mask_token": token("[MASK]", lstrip=True), "cls_token": "[CLS]"}),
    case("vocab: map names another mask", special={"mask_token": "image"}),
    case("vocab: renamed template", words=["[PAD]", "[UNK]", "<c>", "<e>", "[MASK]"] + WORDS,
         config={"cls_token": "<c>", "sep_token": "<e>"}),
    case("vocab: extra_special_tokens", config={"extra_special_tokens": ["doc", "<image>"]}),
    case("vocab: a token of the model's own", config={"image_token": "<image>"}),
    case("vocab: repeated lines", words=BERT[:10] + BERT[5:]),
    case("vocab: special tokens are split", config={"split_special_tokens": True}),
    case("vocab: MPNet", model="mpnet", words=MPNET),
    case("vocab: MPNet with a decoder", model="mpnet", words=MPNET,
         config={"tokenizer_class": "MPNetTokenizer", "added_tokens_decoder": {
             "4": token("<mask>", lstrip=False), str(size): token("covidvax", special=False, normalized=True)}}),
    case("vocab: class of config.json", model={"model_type": "mpnet", "tokenizer_class": "BertTokenizer"}),
    case("file: as configured", file=tokenizer_json(BERT), config={"tokenizer_class": "BertTokenizer"}),
    case("file: the configuration keeps case", file=tokenizer_json(BERT),
         config={"tokenizer_class": "BertTokenizer", "do_lower_case": False}),
    case("file: the class lowers case", file=tokenizer_json(BERT, lowercase=False),
         config={"tokenizer_class": "BertTokenizerFast"}),
    case("file: the family lowers case", file=tokenizer_json(BERT, lowercase=False)),
    case("file: accents", file=tokenizer_json(BERT), config={"tokenizer_class": "DistilBertTokenizer", "strip_accents": False}),
    case("file: Chinese", file=tokenizer_json(BERT, chinese=False), config={"tokenizer_class": "BertTokenizer"}),
    case("file: PreTrainedTokenizerFast follows it", file=tokenizer_json(BERT, lowercase=False),
         config={"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}),
    case("file: MPNet", model="mpnet", file=tokenizer_json(MPNET, lowercase=False),
         config={"tokenizer_class": "MPNetTokenizer"}),
    case("file: its template gives way", file=tokenizer_json(BERT, post=whole), config={"tokenizer_class": "BertTokenizer"}),
    case("file: its added tokens", config={"tokenizer_class": "BertTokenizer"},
         file=tokenizer_json(BERT, added=[(size, token("covidvax", special=False, normalized=True)), (size + 1, token("[DOC]"))])),
    case("file: the decoder wins over its added tokens", file=tokenizer_json(BERT, added=[(size, token("[DOC]"))]),
         config={"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"4": token("[MASK]", lstrip=True)}}),
    case("file: added_tokens.json beside it", file=tokenizer_json(BERT), added={"covidvax": size},
         config={"tokenizer_class": "BertTokenizer"}),
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
    with open(os.path.join(HERE, "tokenizer-classes.json"), "w", encoding="utf-8") as handle:
        json.dump({"texts": TEXTS, "cases": out}, handle, ensure_ascii=False, indent=0)
        handle.write("\n")


main()
