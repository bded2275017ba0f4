"""The plot: horizontal bars of speed against the peer's best way, as an SVG that reads on light and dark pages."""
import html

from tables import figure, shown_ways

WIDTH, LEFT, RIGHT = 860, 20, 190  # RIGHT is room for a bar's figures
BAR, GAP, HEAD, GROUP = 16, 4, 20, 16  # heights: bar, between bars, a group's title, between groups
STYLE = """
  .page { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #1c2733 } .title { font-size: 16px;
  font-weight: 600 } .group { font-weight: 600 } .faint { fill: #5b6875 } .line { stroke: #c9d1d9 }
  .spread { stroke: #1c2733 } .tutti { fill: #0f7fa8 } .tutti-openblas { fill: #7fbfd6 } .peer { fill: #e08b2d }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #9aa7b4 } .line { stroke: #3a434d }
    .spread { stroke: #e6edf3 } .tutti { fill: #35a9d6 } .tutti-openblas { fill: #22617c } .peer { fill: #d88a36 }
  }"""


def bars_of(entry):
    """(class, words, ratio with spread) of an entry's bars; the peer's best is 1 by definition."""
    bars = []
    peer = entry["ways"].get(entry["best_peer"])
    for name in shown_ways(entry):
        way = entry["ways"][name]
        rate = way["rows_per_second"]
        if name == entry["best_peer"]:
            ratio = {key: rate[key] / rate["median"] for key in ("median", "min", "max")}
            kind, words = "peer", f"{figure(rate['median'])} samples/s"
        elif peer and "ratio" in way:
            ratio, kind = way["ratio"], name
            words = f"{figure(rate['median'])} samples/s, {figure(ratio['median'])}x"
        else:
            continue
        bars.append((kind, words, ratio))
    return bars


def nice_step(largest):
    """Distance of grid lines: at most eight of them."""
    return next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if largest / step <= 8)


def svg(entries, caption):
    """The drawing of all entries that have a peer to compare with."""
    groups = [(entry, bars_of(entry)) for entry in entries if entry["best_peer"]]
    largest = max((ratio["max"] for _, bars in groups for _, _, ratio in bars), default=1.0)
    step = nice_step(largest)
    top, room = 88, WIDTH - LEFT - RIGHT

    def x(ratio):
        return LEFT + room * ratio / largest

    parts, y = [], top
    for entry, bars in groups:
        cores = f"{entry['cores']} core{'' if entry['cores'] == 1 else 's'}"
        parts.append(f'<text class="group" x="{LEFT}" y="{y + 13}">{html.escape(entry["title"])}, {cores}</text>')
        y += HEAD
        for kind, words, ratio in bars:
            middle = y + BAR / 2
            parts.append(
                f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{x(ratio["median"]) - LEFT:.1f}" height="{BAR}"/>'
                f'<path class="spread" d="M{x(ratio["min"]):.1f} {middle}H{x(ratio["max"]):.1f}'
                f'M{x(ratio["min"]):.1f} {middle - 4}v8M{x(ratio["max"]):.1f} {middle - 4}v8"/>'
                f'<text x="{x(ratio["max"]) + 8:.1f}" y="{middle + 4}">{html.escape(words)}</text>')
            y += BAR + GAP
        y += GROUP
    kinds = {kind for _, bars in groups for kind, _, _ in bars}
    legend, at = [], LEFT
    for kind, words in (("tutti", "Tutti"), ("tutti-openblas", "Tutti with OpenBLAS"),
                        ("peer", "sentence-transformers, its best way = 1")):
        if kind in kinds:
            legend.append(f'<rect class="{kind}" x="{at}" y="60" width="12" height="12"/>'
                          f'<text x="{at + 18}" y="70">{words}</text>')
            at += 40 + 7 * len(words)
    grid, line = [], 0.0
    while line <= largest:
        grid.append(f'<path class="line" d="M{x(line):.1f} {top - 6}V{y}"/>'
                    f'<text class="faint" x="{x(line):.1f}" y="{y + 16}" text-anchor="middle">{line:g}x</text>')
        line += step
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 30}" role="img" '
        'aria-label="Speed of Tutti and sentence-transformers">',
        f"<style>{STYLE}\n</style>", f'<rect class="page" width="{WIDTH}" height="{y + 30}"/>',
        f'<text class="title" x="{LEFT}" y="28">Samples a second, against sentence-transformers</text>',
        f'<text class="faint" x="{LEFT}" y="47">{html.escape(caption)}</text>', *legend, *grid, *parts,
        "</svg>"]) + "\n"
