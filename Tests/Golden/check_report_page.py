"""Opens a report.html in a headless Chromium: no message on the console, nothing wider than the window, light and dark, and a PDF.

    check_report_page.py PAGE FOLDER

Screenshots of 400 and 1400 pixels, light and dark, and the PDF are left in FOLDER for people to look at.
"""
import html
import json
import pathlib
import re
import subprocess
import sys

page, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
folder.mkdir(parents=True, exist_ok=True)


def chromium(*options):
    """Standard output; fails where the page wrote to the console."""
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
         f"--user-data-dir={folder}/profile", "--virtual-time-budget=5000", *options],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not messages, messages
    return done.stdout


# A frame is as narrow as asked for, a window is not. Details are opened, so that nothing is missed.
probe = """<!DOCTYPE html><body><script>
const found = {};
function measure(frame, width) {
    const page = frame.contentDocument;
    page.querySelectorAll("details").forEach(part => part.open = true);
    const wide = [...page.querySelectorAll("body *")].filter(part =>
        !part.closest(".scroll") && !part.closest("svg") && part.getBoundingClientRect().right > width + 0.5);
    found[width] = {
        scroll: page.documentElement.scrollWidth, wide: wide.map(part => part.outerHTML.slice(0, 120)),
        back: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
        unnamed: [...page.querySelectorAll("svg")].filter(part => !part.getAttribute("aria-label")).length,
        headings: [...page.querySelectorAll("h1, h2")].map(part => part.textContent),
        charts: page.querySelectorAll("svg").length,
    };
    if (Object.keys(found).length == 2) document.title = JSON.stringify(found);
}
</script>"""
for width in (400, 1400):
    source = html.escape(page.read_text(), quote=True)
    probe += f'<iframe width="{width}" height="900" frameborder="0" onload="measure(this, {width})" srcdoc="{source}"></iframe>'
(folder / "probe.html").write_text(probe + "</body>")

backs = []
for scheme, number in (("light", 1), ("dark", 0)):
    settings = f"--blink-settings=preferredColorScheme={number}"
    text = chromium(settings, "--dump-dom", f"file://{folder}/probe.html")
    title = re.search(r"<title>(.*?)</title>", text, re.S)
    assert title, "the page was not measured"
    for width, found in json.loads(html.unescape(title[1])).items():
        assert found["scroll"] <= int(width) and not found["wide"], (width, found)
        assert found["unnamed"] == 0 and found["headings"], found
        backs.append(found["back"])
        charts = found["charts"]
    for width in (400, 1400):
        chromium(settings, f"--window-size={width},6000", f"--screenshot={folder}/{scheme}-{width}.png", f"file://{page}")
assert backs[0] == backs[1] != backs[2] == backs[3], backs
chromium(f"--print-to-pdf={folder}/page.pdf", f"file://{page}")
assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")
print(f"{charts} charts, {backs[0]} and {backs[2]}")
