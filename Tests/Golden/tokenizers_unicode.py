"""Asks Hugging Face tokenizers (0.23.3) about all code points and writes Sources/Text/UnicodeTables.swift to argument 1.

    python Tests/Golden/tokenizers_unicode.py Sources/Text/UnicodeTables.swift
"""

import os
import sys
import unicodedata

sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def bert(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return N.BertNormalizer(**{**off, **options}).normalize_str


def ranges_of(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def changed(function):
    return {str(c): [ord(x) for x in function(chr(c))] for c in POINTS if function(chr(c)) != chr(c)}


def cut(pre_tokenizer, c):
    return [piece for piece, _ in pre_tokenizer.pre_tokenize_str("a" + chr(c) + "a")]


def combining_classes(decomposed):
    """Classes by whether NFD exchanges a mark with one of a known class."""
    swaps = lambda a, b: N.NFD().normalize_str("a" + chr(a) + chr(b)) == "a" + chr(b) + chr(a)
    top = 0x345  # class 240, the highest
    marks = [c for c in POINTS if str(c) not in decomposed and c != top and swaps(top, c)] + [top]
    known = {unicodedata.combining(chr(c)): c for c in reversed(marks)}
    classes = {}
    for c in marks:
        equal = [k for k, r in known.items() if r == c or not (swaps(r, c) or swaps(c, r))]
        assert len(equal) == 1, hex(c)
        classes[str(c)] = equal[0]
    return classes


clean, chinese = bert(clean_text=True), bert(handle_chinese_chars=True)
accents, strip = bert(strip_accents=True), N.StripAccents()
canonical = changed(N.NFD().normalize_str)
probe = dict(
    sets={name: ranges_of(points) for name, points in dict(
        dropped=[c for c in POINTS if clean(chr(c)) == ""],
        cleanedSpace=[c for c in POINTS if clean(chr(c)) == " "],
        cjk=[c for c in POINTS if chinese(chr(c)) != chr(c)],
        nonspacing=[c for c in POINTS if str(c) not in canonical and accents(chr(c)) == ""],
        mark=[c for c in POINTS if strip.normalize_str(chr(c)) == ""],
        punctuation=[c for c in POINTS if len(cut(P.BertPreTokenizer(), c)) == 3],
        space=[c for c in POINTS if len(cut(P.BertPreTokenizer(), c)) == 2],
        word=[c for c in POINTS if len(cut(P.Whitespace(), c)) == 1]).items()},
    lower=changed(N.Lowercase().normalize_str), dec=canonical, kdec=changed(N.NFKD().normalize_str),
    nfc=changed(N.NFC().normalize_str), ccc=combining_classes(canonical))


def lines(text):
    words, rows, row = text.split(" "), [], ""
    for word in words:
        if len(row) + len(word) > 110:
            rows.append(row); row = ""
        row += word + " "
    rows.append(row)
    return "\n".join("        " + r.rstrip() + " \\" for r in rows)[:-2]
def ranges(rs):
    last, out = 0, []
    for a, b in rs:
        out.append(f"{a-last:x}" + (f"-{b-a:x}" if b > a else "")); last = b
    return lines(" ".join(out))
def maps(d):
    last, out = 0, []
    for c in sorted(map(int, d)):
        out.append(f"{c-last:x}=" + ",".join(f"{x:x}" for x in d[str(c)])); last = c
    return lines(" ".join(out))
classes, last, row = {}, 0, []
for c in sorted(map(int, probe["ccc"])):
    row.append(f"{c-last:x}={probe['ccc'][str(c)]:x}"); last = c
hangul = lambda d: {k: v for k, v in d.items() if not 0xAC00 <= int(k) <= 0xD7A3}
dec, kdec = hangul(probe["dec"]), hangul(probe["kdec"])
kdec = {k: v for k, v in kdec.items() if dec.get(k) != v}
excluded = sorted(int(k) for k in dec if k in probe["nfc"])
exc = []
for c in excluded:
    if exc and exc[-1][1] == c - 1: exc[-1][1] = c
    else: exc.append([c, c])
s = probe["sets"]
def item(name, doc, body): return f'    /// {doc}\n    static let {name} = """\n{body}\n        """\n'
out = '''// Unicode data as the reference tokenizers (0.23.3) see it, each table found by asking the library about all code points
// (Tests/Golden/tokenizers_unicode.py); its crates carry different Unicode versions, so no single version reproduces it.
//
// Ranges: hexadecimal "gap-extra", gap counted from the end of the range before, extra = length - 1 (left out when 0).
// Mappings: "gap=to,to", gap counted from the code point before.

enum UnicodeTables {
'''
for n, d in (("dropped", "What clean_text removes: control, format, private use, NUL, U+FFFD."),
             ("cleanedSpace", "What clean_text turns into a blank."), ("cjk", "What handle_chinese_chars sets apart."),
             ("nonspacing", "Non-spacing marks, among what canonical decomposition can leave."),
             ("mark", "Marks that the StripAccents normalizer removes."), ("punctuation", "Punctuation of BertPreTokenizer."),
             ("space", "White space of the pre-tokenizers."), ("word", "Word characters (\\\\w) of the Whitespace pre-tokenizer.")):
    out += item(n, d.replace("\\\\w", "regular expression w"), ranges(s[n]))
out += item("lowercase", "Lower-casing of one code point.", maps(probe["lower"]))
out += item("combiningClass", "Canonical combining classes other than 0.", lines(" ".join(row)))
out += item("canonical", "Full canonical decompositions but Hangul.", maps(dec))
out += item("compatibility", "Full compatibility decompositions where they differ from the canonical ones.", maps(kdec))
out += item("notComposed", "Decomposable code points that composition never yields.", ranges(exc))
open(sys.argv[1], "w").write(out + "}\n")
