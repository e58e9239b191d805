"""What the comparison with kvcached computes: figures, the load, the counting of driver calls, the chart. Needs no GPU and no host."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench")
sys.path.insert(0, BENCH)

from vs_kvcached import chart, counts, figures, sequence, trace  # noqa: E402

DRIVER = """
#include <stdint.h>
int cuMemMap(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) { return (int)(a + b + c + d + e); }
int cuMemUnmap(uint64_t a, uint64_t b) { return (int)(a * b); }
int cuInit(unsigned flags) { return (int)flags + 40; }
"""


class FiguresTests(unittest.TestCase):
    def test_percentiles_are_samples_that_enough_others_do_not_exceed(self):
        samples = list(range(1000, 0, -1))
        self.assertEqual([figures.percentile(samples, share) for share in (0.001, 0.5, 0.9, 0.999, 1.0)], [1, 500, 900, 999, 1000])
        self.assertEqual(figures.percentile([7.5], 0.5), 7.5)
        for samples, share in (([], 0.5), ([1.0], 0), ([1.0], 1.1)):
            with self.assertRaises(ValueError):
                figures.percentile(samples, share)

    def test_rows_have_a_ratio_and_a_verdict_only_where_both_sides_were_measured(self):
        theirs, ours = figures.summary([100.0, 200.0, 300.0]), figures.summary([10.0, 20.0, 90.0])
        row = figures.make_row("map one page id", 2, theirs, ours, 5.0)
        self.assertEqual((row["kvcachedMicroseconds"], row["oursMicroseconds"], row["ratio"], row["target"]), (200.0, 20.0, 0.1, 0.33))
        self.assertEqual(figures.verdict(row), "reached")
        self.assertEqual(figures.verdict(figures.make_row("map one page id", 2, theirs, figures.summary([70.0]), None)), "missed")
        self.assertEqual(figures.verdict(figures.make_row("map one page id", 2, None, ours)), "not measured")
        self.assertEqual(figures.verdict(figures.make_row("map one page id", 1, theirs, ours)), "")

    def test_calls_are_those_of_one_operation_over_all_rounds(self):
        found = figures.calls_of([{"cuMemMap": [4, 40.0]}, {"cuMemMap": [2, 20.0], "cuMemUnmap": [3, 9.0]}], 6)
        self.assertEqual(found["cuMemMap"], {"perOperation": 1.0, "meanMicroseconds": 10.0})
        self.assertEqual(found["cuMemUnmap"], {"perOperation": 0.5, "meanMicroseconds": 3.0})


class TraceTests(unittest.TestCase):
    def test_load_rises_and_falls_within_its_bounds_and_is_the_same_each_time(self):
        made = trace.operations(4000, 500, 2)
        live = trace.live_after(made)
        self.assertEqual(made, trace.operations(4000, 500, 2))
        self.assertEqual(len(made), 4000)
        self.assertLessEqual(max(live), 500)
        self.assertGreater(max(live), 450)
        self.assertGreaterEqual(min(live), 0)
        self.assertLess(live[2000], 120)  # between the waves

    def test_each_piece_is_freed_at_most_once_and_after_it_was_taken(self):
        taken, freed = 0, set()
        for operation in trace.operations(3000, 300, 3):
            if operation > 0:
                taken += 1
            else:
                piece = -1 - operation
                self.assertLess(piece, taken)
                self.assertNotIn(piece, freed)
                freed.add(piece)

    def test_scattered_blocks_are_split_without_loss(self):
        stay, go = trace.scattered(range(100), 10)
        self.assertEqual((len(stay), sorted(stay + go)), (10, list(range(100))))


class Recorder(sequence.Engine):
    """Takes pages and says how many calls that was, in a file of counts."""

    def __init__(self, path):
        self.held, self.most, self._path = 0, 0, path

    def grow(self, pages):
        self.held += pages
        self.most = max(self.most, self.held)
        self._count(counts.CALLS.index("cuMemMap"), 2)

    def shrink(self, pages):
        self.held -= pages
        self._count(counts.CALLS.index("cuMemUnmap"), 1)

    def _count(self, call, number):
        with open(self._path, "r+b") as file:
            words = list(counts._LAYOUT.unpack(file.read()))
            words[2 * call] += number
            words[2 * call + 1] += number * 5000
            file.seek(0)
            file.write(counts._LAYOUT.pack(*words))


class SequenceTests(unittest.TestCase):
    def test_pages_grow_and_shrink_by_turns_and_calls_are_told_apart(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "counts")
            counts.Counts("unused", path)
            engine = Recorder(path)
            found = sequence.pages(engine, 16, times=3, warm_up=2, counted=[path])
            self.assertEqual((engine.held, engine.most), (0, 16))
            self.assertEqual((len(found["grow"]), len(found["shrink"])), (3, 3))
            self.assertEqual(found["calls"], {"grow": {"cuMemMap": [6, 30.0]}, "shrink": {"cuMemUnmap": [3, 15.0]}})
            one_by_one = sequence.pages(engine, 16, times=1, warm_up=0, one_by_one=True, counted=[path])
            self.assertEqual(one_by_one["calls"]["grow"]["cuMemMap"][0], 32)


@unittest.skipUnless(shutil.which("cc") or shutil.which("gcc"), "there is no C compiler")
class CountingTests(unittest.TestCase):
    def test_calls_of_another_process_are_counted_and_passed_on_unchanged(self):
        compiler = shutil.which("cc") or shutil.which("gcc")
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "driver.c")
            with open(source, "w") as file:
                file.write(DRIVER)
            driver = os.path.join(folder, "libcuda.so.1")
            subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", driver, source], check=True)
            counted = counts.Counts(counts.build(folder), os.path.join(folder, "counts"))
            before = counted.read()
            program = "import ctypes; d = ctypes.CDLL('libcuda.so.1'); print(d.cuInit(2), d.cuMemMap(1, 2, 3, 4, 5), d.cuMemMap(0, 0, 0, 0, 9), d.cuMemUnmap(6, 7))"
            environment = dict(os.environ, LD_LIBRARY_PATH=folder, **counted.environment)
            said = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True, timeout=60).stdout
            self.assertEqual(said.split(), [b"42", b"15", b"9", b"42"])
            called = {name: value["calls"] for name, value in counts.between(before, counted.read()).items() if name != "ioctl"}
            self.assertEqual(called, {"cuMemMap": 2, "cuMemUnmap": 1})


class ChartTests(unittest.TestCase):
    def test_chart_shows_each_time_and_leaves_out_rows_without(self):
        rows = [
            {"work": "map <one>", "kvcachedMicroseconds": 800.0, "oursMicroseconds": 80.0, "driverMicroseconds": 50.0},
            {"work": "memory", "kvcachedMicroseconds": None, "oursMicroseconds": None, "driverMicroseconds": None},
            {"work": "allocate", "kvcachedMicroseconds": 20.0, "oursMicroseconds": 2.0, "driverMicroseconds": 0.0},
        ]
        root = xml.etree.ElementTree.fromstring(chart.svg(rows, "a & b"))
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("map <one>", texts)
        self.assertNotIn("memory", texts)
        for value in ("800", "80", "50", "20", "2"):
            self.assertIn(value, texts)
        with self.assertRaises(ValueError):
            chart.svg(rows[1:2], "none")


if __name__ == "__main__":
    unittest.main()
