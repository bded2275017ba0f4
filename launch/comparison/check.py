"""Checks the parts of launch/compare that need no program to run: python3 launch/comparison/check.py"""
import json
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

import comparison
import plot
import programs
import tables
import texts
from settings import LOSSES, SETTINGS, ways
from shapes import Shape
from store import OtherRun, Store

SHAPE = Shape(hidden=4, inner=16, layers=2)


def sample(way, rate, number, cores=1, setting="minilm-triplets", **more):
    program = "tutti" if way.startswith("tutti") else "peer"
    return {"setting": setting, "cores": cores, "way": way, "program": program, "title": way, "round": number,
            "rows_per_second": rate, "tokens_per_second": rate * 50, "startup_seconds": 1.0, "wall_seconds": 2.0,
            "peak_bytes": 10**9} | more


class Tables(unittest.TestCase):
    def setUp(self):
        self.samples = [
            sample("tutti", 40, 1), sample("peer", 10, 1, squares_per_token=16), sample("tutti", 50, 2),
            sample("peer", 8, 2, squares_per_token=16), sample("tutti", 42, 3),
            sample("peer", 12, 3, squares_per_token=16),
            sample("tutti", 70, 1, 2), sample("peer-processes", 20, 1, 2, squares_per_token=16),
            sample("peer-threads", 14, 1, 2, squares_per_token=16),
            sample("peer-processes", 5, 2, 2, squares_per_token=16)]
        self.entries = tables.summarise(self.samples, {"minilm": SHAPE}, {"1": [0.002, 0.004, 0.003]})

    def test_ratios_are_paired_by_round(self):
        ratio = self.entries[0]["ways"]["tutti"]["ratio"]
        self.assertEqual((ratio["median"], ratio["min"], ratio["max"], ratio["count"]), (4.0, 3.5, 6.25, 3))

    def test_the_faster_way_of_the_peer_counts(self):
        self.assertEqual(self.entries[1]["best_peer"], "peer-processes")
        self.assertEqual(tables.shown_ways(self.entries[1]), ["tutti", "peer-processes"])
        self.assertIn("peer-threads", tables.other_ways(self.entries)[0])

    def test_share_of_peak(self):
        # P = 2 (4 * 16 + 2 * 4 * 16) = 384; a token costs 6 * 384 + 12 * 2 * 4 * 16 = 3840 operations.
        self.assertEqual(SHAPE.operations(1, 16, trains=True), 3840)
        self.assertEqual(SHAPE.operations(1, 16, trains=False), 1280)
        share = self.entries[0]["ways"]["tutti"]["share_of_peak"]["median"]
        self.assertAlmostEqual(share, 42 * 50 * 3840 / 0.003e9)
        self.assertNotIn("share_of_peak", self.entries[1]["ways"]["tutti"], "no peak of two cores is known")

    def test_tokens_see_less_in_windows_and_causally(self):
        window = Shape(4, 16, layers=3, windowed=2, window=2)
        near = sum(1 for i in range(7) for j in range(7) if abs(i - j) <= 2)
        self.assertEqual(window.seen(7), (49 + 2 * near) / 3)
        self.assertEqual(window.seen(3), 9)
        self.assertEqual(Shape(4, 16, layers=3, causal=True).seen(7), 28)
        # Gated, wider heads than D, fewer keys: P = 2 * 4 * (2 * 8 + 2 * 4 + 3 * 16).
        gated = Shape(hidden=4, inner=16, layers=2, heads=8, keys=4, matrices=3)
        self.assertEqual(gated.operations(1, 0, trains=False), 2 * 2 * 4 * 72)

    def test_markdown_lines_up(self):
        lines = tables.markdown(tables.main_table(self.entries)).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual(len(lines), 2 + 4)
        self.assertIn("4.00x (3.50..6.25)", lines[2])
        self.assertEqual([row[-1] for row in tables.scaling_table(self.entries)[1:]], ["1.67x", "1.25x"])

    def test_the_plot_is_xml_with_a_bar_a_way(self):
        root = xml.etree.ElementTree.fromstring(plot.svg(self.entries, "a < b"))
        bars = [part for part in root.iter("{http://www.w3.org/2000/svg}rect") if part.get("height") == str(plot.BAR)]
        self.assertEqual([bar.get("class") for bar in bars], ["tutti", "peer", "tutti", "peer"])
        widths = [float(bar.get("width")) for bar in bars]
        self.assertAlmostEqual(widths[0] / widths[1], 4.0, places=1)
        self.assertIn("prefers-color-scheme: dark", root.find("{http://www.w3.org/2000/svg}style").text)


class Samples(unittest.TestCase):
    def test_warm_up_is_left_out_and_a_disturbed_step_does_not_count(self):
        class Finished:
            began, seconds, peak_bytes = 100.0, 20.0, 7

        steps = [{"seconds": s, "rows": 8, "tokens": 80, "squares": 800} for s in (9.0, 2.0, 30.0, 2.0)]
        found = programs.of_steps(steps, 1, Finished, 103.5)
        self.assertEqual((found["rows_per_second"], found["tokens_per_second"]), (4.0, 40.0))
        self.assertEqual((found["startup_seconds"], found["squares_per_token"]), (3.5, 10.0))

    def test_every_way_uses_all_its_cores(self):
        for setting in SETTINGS.values():
            for cores in (1, 2, 6):
                found = ways(setting, cores, ["openblas", "onednn"])
                self.assertTrue(all(way.processes * way.threads == cores for way in found))
                self.assertEqual({way.gemm for way in found if way.program == "tutti"}, {"auto", "openblas"})
        self.assertEqual({name for name in SETTINGS if SETTINGS[name].trains}, set(LOSSES))

    def test_different_tokens_are_a_failure(self):
        run = comparison.Comparison(None, None, None, [0], [], {}, {})
        run.samples = [sample("tutti", 1, 1, steps=[{"tokens": 5}])]
        run.check(SETTINGS["minilm-triplets"], [0], {"steps": [{"tokens": 5}]})
        for wrong in ({"steps": [{"tokens": 6}]}, {"largest_difference": 0.1}):
            with self.assertRaises(comparison.processes.Failed):
                run.check(SETTINGS["minilm-triplets"], [0], wrong)


class Texts(unittest.TestCase):
    def test_columns_by_name_by_choice_and_by_place(self):
        rows = [{"id": "7", "b": "two", "a": "one"}, {"id": "8", "b": " ", "a": "left out"}]
        self.assertEqual(texts.pick_columns("x", rows, ("a", "b")), [{"a": "one", "b": "two"}])
        self.assertEqual(texts.pick_columns("x", rows, ("p", "q")), [{"p": "two", "q": "one"}])
        self.assertEqual(texts.pick_columns("x", rows, ("p",), ["a"]), [{"p": "one"}, {"p": "left out"}])
        for wanted, chosen in ((("p", "q", "r"), None), (("p",), ["nowhere"])):
            with self.assertRaises(texts.BadData):
                texts.pick_columns("x", rows, wanted, chosen)

    def test_long_texts_are_filled_and_use_each_row_once(self):
        rows = [{"anchor": f"a{n} a a", "positive": f"p{n} p p"} for n in range(100)]
        pairs = texts.joined_texts(rows, 3, words=9)
        self.assertEqual(pairs[1], {"anchor": "a3 a a a4 a a a5 a a", "positive": "p3 p p p4 p p p5 p p"})

    def test_descriptions_become_short_rows_of_different_packages(self):
        rows = [{"anchor": f"s{n}", "positive": f"Opening {n}. And more."} for n in range(4)]
        triplets, pairs = texts.from_descriptions(rows)
        self.assertEqual(
            triplets[1], {"anchor": "s1", "positive": "Opening 1. And more.", "negative": "Opening 3. And more."})
        self.assertEqual(pairs[0], {"sentence1": "s3", "sentence2": "Opening 3. And more."})
        self.assertEqual(texts.opening("A b. C d. E. F g.", least=3, most=9), "A b. C d.")
        self.assertEqual(texts.opening("one two three four", least=3, most=3), "one two three")


class Folder(unittest.TestCase):
    def test_a_comparison_goes_on_and_another_is_refused(self):
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place) / "out"
            store = Store(folder, fresh=False)
            store.claim({"steps": 4})
            store.keep("a", {"rate": 1})
            again = Store(folder, fresh=False)
            again.claim({"steps": 4})
            self.assertEqual((again.part("a"), again.part("b")), ({"rate": 1}, None))
            with self.assertRaisesRegex(OtherRun, "steps"):
                again.claim({"steps": 5})
            self.assertIsNone(Store(folder, fresh=True).part("a"))
            (pathlib.Path(place) / "mine.txt").write_text(json.dumps("kept"))
            with self.assertRaises(OtherRun):
                Store(pathlib.Path(place), fresh=True)


if __name__ == "__main__":
    unittest.main()
