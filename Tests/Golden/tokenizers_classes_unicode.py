"""Asks Hugging Face tokenizers (0.23.3) which category, class and script each code point has for regular expressions
(Oniguruma, \\p{..}) and for UnicodeScripts, and writes Sources/Text/UnicodeClassTables.swift to argument 1.

    python Tests/Golden/tokenizers_classes_unicode.py Sources/Text/UnicodeClassTables.swift
"""

import os
import sys

sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
from tokenizers import Regex
from tokenizers import pre_tokenizers as P

NAMES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
CLASSES = ["word", "alpha", "alnum", "upper", "lower", "punct", "graph", "print", "cntrl", "blank", "emoji",
           "han", "hiragana", "katakana", "hangul", "bopomofo", "latin", "greek",
           "cyrillic", "armenian", "hebrew", "arabic", "syriac", "devanagari", "bengali", "gurmukhi", "gujarati", "tamil",
           "telugu", "kannada", "malayalam", "sinhala", "thai", "lao", "tibetan", "myanmar", "georgian", "ethiopic",
           "khmer", "mongolian", "common", "inherited"]
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, POINTS))


def code(place):
    return place if place < 0xD800 else place + 0x800


def matches(pattern):
    """Ranges of code points that the pattern, one character wide, matches."""
    found = P.Split(Regex(f"(?:{pattern})+"), "removed", invert=True).pre_tokenize_str(TEXT)
    out = []
    for _, (start, end) in found:
        first, last = code(start), code(end - 1)
        parts = [(first, 0xD7FF), (0xE000, last)] if first < 0xD800 <= last else [(first, last)]
        out += parts
    return out


def runs(values):
    out, start = [], 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            out.append(f"{place - start:x}:{values[start]:x}")
            start = place
    return out


def literal(entries):
    rows, row = [], ""
    for entry in entries:
        if len(row) + len(entry) > 110:
            rows.append(row); row = ""
        row += entry + " "
    rows.append(row)
    return "\n".join("        " + r.rstrip() + " \\" for r in rows)[:-2]


def main():
    category = [NAMES.index("Cn")] * 0x110000
    for point in range(0xD800, 0xE000):
        category[point] = NAMES.index("Cs")
    for number, name in enumerate(NAMES):
        if name in ("Cs", "Cn"):
            continue
        for first, last in matches(rf"\p{{{name}}}"):
            for point in range(first, last + 1):
                assert category[point] == NAMES.index("Cn"), (name, hex(point))
                category[point] = number
    unassigned = [p for a, b in matches(r"\p{Cn}") for p in range(a, b + 1)]
    assert unassigned == [p for p in POINTS if category[p] == NAMES.index("Cn")]
    classes = []
    for name in CLASSES:
        values = [0] * 0x110000
        pattern = rf"\p{{{name}}}" if name != "word" else r"\w"
        for first, last in matches(pattern):
            for point in range(first, last + 1):
                values[point] = 1
        classes.append((name, runs(values)))
    scripts = script_numbers()
    out = """// General categories, classes and scripts of all code points as the reference tokenizers (0.23.3) see them, found by
// asking the library (Tests/Golden/tokenizers_classes_unicode.py).
//
// Each table is a list of runs "count:value", hexadecimal, from U+0000 to U+10FFFF.

enum UnicodeClassTables {
    /// The general categories, by number.
    static let names = [
"""
    for place in range(0, len(NAMES), 15):
        out += "        " + ", ".join(f'"{n}"' for n in NAMES[place:place + 15]) + ",\n"
    out += "    ]\n    /// The general category of each code point in regular expressions.\n"
    out += f'    static let category = """\n{literal(runs(category))}\n        """\n'
    out += "    /// The script of each code point for UnicodeScripts; 0: none.\n"
    out += f'    static let script = """\n{literal(runs(scripts))}\n        """\n'
    out += "    /// Classes of regular expressions by name: 1 for their elements.\n    static let classes: [(name: String, runs: String)] = [\n"
    for name, entries in classes:
        out += f'        (\n            "{name}",\n            """\n'
        out += literal(entries).replace("        ", "            ") + '\n            """\n        ),\n'
    out += "    ]\n}\n"
    open(sys.argv[1], "w").write(out)


def script_numbers():
    """Numbers of scripts such that UnicodeScripts cuts between characters of different numbers other than 0."""
    cutter = P.UnicodeScripts()
    cuts = lambda a, b: len(cutter.pre_tokenize_str(a + b)) == 2
    # Runs between which the cutter cuts, and inside them what has no script: what neither cuts after a Latin nor a Han.
    letter, han = "a", "\u4e00"
    values = [0] * 0x110000
    marked = []
    for a, b in zip(range(0, len(TEXT), 4096), range(4096, len(TEXT) + 4096, 4096)):
        marked += [(c, bool(cuts(letter, c)), bool(cuts(han, c))) for c in TEXT[a:b]]
    known, last, previous = [], 0, ""
    for char, from_letter, from_han in marked:
        if not from_letter and not from_han:
            number = 0
        elif previous and last and not cuts(previous, char):
            number = last
        else:
            number = next((n for n, r in known if not cuts(r, char)), None)
            if number is None:
                number = len(known) + 1
                known.append((number, char))
        values[ord(char)] = number
        if number:
            last, previous = number, char
    assert len(known) < 256
    return values


main()
