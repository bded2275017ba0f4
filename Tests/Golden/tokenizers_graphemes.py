"""Asks Hugging Face tokenizers (0.23.3) where grapheme clusters end and writes Sources/Text/GraphemeTables.swift to argument 1.

    python Tests/Golden/tokenizers_graphemes.py Sources/Text/GraphemeTables.swift

The library uses clusters in one place, the Precompiled normalizer: a cluster of fewer than 6 bytes becomes the first match at
its start. With a map that sends every byte to "b", such a cluster becomes one "b" and a longer one a "b" for each code point.
So the number of "b" tells whether neighbours are joined. Then 300,000 random strings check the rules of GraphemeClusters.swift.
"""

import os
import random
import struct
import sys

sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
from tokenizers import normalizers as N

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def every_byte():
    """A charsmap with the 255 keys of one byte, all to "b"."""
    units = [0] * 1024
    units[0] = 256 << 10
    for c in range(1, 256):
        node, leaf = 256 ^ c, 512 + c
        units[node] = (node ^ leaf) << 10 | 1 << 8 | c
        units[leaf] = 1 << 31
    return struct.pack("<I1024I", 4096, *units) + b"b\0"


probe = N.Precompiled(every_byte()).normalize_str


def count(*points):
    return len(probe("".join(map(chr, points))))


ACCENT, ZWJ, KA, VIRAMA, LEAD, VOWEL, TRAIL, STAR = 0x300, 0x200D, 0x915, 0x94D, 0x1100, 0x1161, 0x11A8, 0xA9


def classes():
    found = {name: [] for name in ("control", "prepend", "extend", "spacing", "leading", "vowel", "trailing", "pictograph",
                                   "consonant", "linker", "conjunctExtend")}
    for x in POINTS:
        if 0xAC00 <= x <= 0xD7A3 or x == 0x0D or x == 0x0A or x == ZWJ:
            continue
        if x and count(0x61, x) == 1:  # joins what is before it
            star = count(STAR, x, ZWJ, STAR, ACCENT)
            found["extend" if star == 5 else "spacing"].append(x)
            if count(KA, x, KA, ACCENT) == 4:
                found["linker"].append(x)
            elif count(KA, VIRAMA, x, KA, ACCENT) == 5:
                found["conjunctExtend"].append(x)
            continue
        if x and count(x, 0x61) == 1:
            found["prepend"].append(x)
            continue
        # Control: the accent behind it is a cluster of its own, with the accent behind that one.
        if count(x, ACCENT, ACCENT) == 2 if x else True:
            found["control"].append(x)
            continue
        # Joined with a Hangul letter, both are longer than 5 bytes; alone, a letter with an accent is not.
        before = lambda letter: count(x, letter, ACCENT) == 3
        if before(VOWEL) and not before(TRAIL):
            found["leading"].append(x)
        elif before(VOWEL):
            found["vowel"].append(x)
        elif before(TRAIL):
            found["trailing"].append(x)
        elif count(STAR, ZWJ, x) == 3:
            found["pictograph"].append(x)
        elif count(x, VIRAMA, KA, ACCENT) == 4:
            found["consonant"].append(x)
    return found


def ranges(points):
    out, last = [], 0
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    words = []
    for a, b in out:
        words.append(f"{a - last:x}" + (f"-{b - a:x}" if b > a else ""))
        last = b
    return words


def lines(words):
    rows, row = [], ""
    for word in words:
        if len(row) + len(word) > 110:
            rows.append(row)
            row = ""
        row += word + " "
    rows.append(row)
    return "\n".join("        " + r.rstrip() + " \\" for r in rows)[:-2]


DOCS = dict(
    control="Control, CR and LF apart.", prepend="Prepend.", extend="Extend, ZWJ apart.", spacing="SpacingMark.",
    leading="Hangul leading consonants (L).", vowel="Hangul vowels (V).", trailing="Hangul trailing consonants (T).",
    pictograph="Extended_Pictographic.", consonant="Consonants that a linker joins (InCB=Consonant).",
    linker="Linkers (InCB=Linker); they are Extend as well.",
    conjunctExtend="What may stand between a linker and a consonant (InCB=Extend), ZWJ apart.")


class Model:
    """The rules of GraphemeClusters.swift, to be held against the library."""

    def __init__(self, found):
        self.kind = {}
        for name, points in found.items():
            if name not in ("linker", "conjunctExtend"):
                self.kind.update((p, name) for p in points)
        self.kind[ZWJ] = "zwj"
        self.linker, self.conjunct = set(found["linker"]), set(found["conjunctExtend"]) | {ZWJ}

    def of(self, p):
        if 0xAC00 <= p <= 0xD7A3:
            return "lv" if (p - 0xAC00) % 28 == 0 else "lvt"
        return {0x0D: "cr", 0x0A: "lf"}.get(p) or self.kind.get(p, "other")

    def clusters(self, points):
        out, kinds = [], [self.of(p) for p in points]
        picture = 0  # 1: a pictograph with Extend behind it; 2: and then a ZWJ
        conjunct = linked = False  # a consonant, and a linker behind it
        for i, p in enumerate(points):
            k, last = kinds[i], kinds[i - 1] if i else None
            joined = i > 0 and (
                (last, k) == ("cr", "lf") if last in ("cr", "lf", "control") or k in ("cr", "lf", "control") else
                (last == "leading" and k in ("leading", "vowel", "lv", "lvt"))
                or (last in ("lv", "vowel") and k in ("vowel", "trailing")) or (last in ("lvt", "trailing") and k == "trailing")
                or k in ("extend", "zwj", "spacing") or last == "prepend"
                or (k == "consonant" and conjunct and linked) or (k == "pictograph" and picture == 2))
            if joined:
                out[-1].append(p)
            else:
                out.append([p])
            picture = 1 if k == "pictograph" or (picture == 1 and k == "extend") else 2 if picture == 1 and k == "zwj" else 0
            if k == "consonant":
                conjunct, linked = True, False
            elif p in self.linker:
                linked = True
            elif p not in self.conjunct:
                conjunct = linked = False
        return out

    def expected(self, points):
        return sum(1 if sum(len(chr(p).encode()) for p in c) < 6 else len(c) for c in self.clusters(points))


def check(found):
    draw = random.Random(3)
    model = Model(found)
    pools = [points for points in found.values()] + [[0x0D], [0x0A], [ZWJ], [0x61, 0xE9], [0xAC00, 0xAC1C], [0xAC01],
                                                     [0x1F1E6, 0x1F1E7], [STAR, 0x2764], [KA], [VIRAMA], [ACCENT], [0x600]]
    wrong = 0
    for _ in range(300_000):
        points = [p for p in (draw.choice(draw.choice(pools)) for _ in range(draw.randint(2, 9))) if p]
        if points and model.expected(points) != count(*points):
            wrong += 1
            if wrong < 20:
                print("differs:", [f"{p:x} {model.of(p)}" for p in points], model.expected(points), count(*points))
    assert not wrong, wrong


def main():
    found = classes()
    print({name: len(points) for name, points in found.items()})
    check(found)
    out = '''// Grapheme cluster classes as the reference tokenizers (0.23.3) see them, found by asking the library about all code points
// (Tests/Golden/tokenizers_graphemes.py). Ranges as in UnicodeTables.swift. Regional indicators are not told from other
// code points: a cluster with two of them is longer than any that is looked up whole.

enum GraphemeTables {
'''
    for name, doc in DOCS.items():
        out += f'    /// {doc}\n    static let {name} = """\n{lines(ranges(found[name]))}\n        """\n'
    with open(sys.argv[1], "w") as file:
        file.write(out + "}\n")


main()
