"""The checker finds what it is for, and nothing in a history that is right. Needs no guest."""

import pathlib
import tempfile
import unittest

from history import ABSENT, TORN, VIOLATIONS, History


def history(writer="", reader="", other="", **more):
    made = History()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("w0", writer), ("w1", other)):
            path = pathlib.Path(folder) / f"{name}.log"
            path.write_text(text)
            made.add_writer(path, **(more if name == "w0" else {}))
        path = pathlib.Path(folder) / "reader.log"
        path.write_text(reader)
        made.add_reader(path)
    return made


def found(made):
    return {kind: made.found[kind] for kind in VIOLATIONS if made.found[kind]}


TWO = "S 32 1.0 0\nA 32 2.0\nS 64 3.0 0\nA 64 4.0\n"


class Final(unittest.TestCase):
    def test_the_last_acknowledged(self):
        self.assertEqual(found(history(TWO).check([64], [64])), {})

    def test_an_older_one_and_none(self):
        self.assertEqual(found(history(TWO).check([32], [32])), {"lost": 1})
        self.assertEqual(found(history(TWO).check([ABSENT], [ABSENT])), {"lost": 1})

    def test_a_mixture(self):
        self.assertEqual(found(history(TWO).check([64], [32])), {"torn": 1})
        self.assertEqual(found(history(TWO).check([64], [TORN])), {"torn": 1})
        self.assertEqual(found(history(TWO).check([64], [ABSENT])), {"torn": 1})

    def test_writes_at_once_may_win_in_any_order(self):
        other = "S 33 1.5 0\nA 33 2.5\n"
        for version in (32, 33):
            self.assertEqual(found(history("S 32 1.0 0\nA 32 2.0\n", other=other).check([version], [version])), {})

    def test_one_without_an_answer_may_be_there(self):
        for end in ("", "X 96 6.0\n", "E 96 6.0 12 input or output failed\n"):
            for version in (64, 96):
                self.assertEqual(found(history(TWO + "S 96 5.0 0\n" + end).check([version], [version])), {}, end)

    def test_a_refused_one_must_not_be_there(self):
        made = history(TWO + "S 96 5.0 0\nE 96 6.0 6 lock timeout\n")
        self.assertEqual(found(made.check([96], [96])), {"unasked": 1})

    def test_a_dead_writer_must_not_win_over_a_later_one(self):
        other = "S 33 7.0 0\nA 33 8.0\n"
        self.assertEqual(found(history("S 32 5.0 0\nX 32 6.0\n", other=other).check([32], [32])), {"lost": 1})
        self.assertEqual(found(history("S 32 5.0 0\n", other=other, gone=6.0).check([32], [32])), {"lost": 1})
        self.assertEqual(found(history("S 32 5.0 0\n", other=other).check([32], [32])), {})

    def test_a_late_write_must_not_land(self):
        other = "S 33 10.0 0\nA 33 11.0\n"
        made = history("S 32 5.0 0\nE 32 21.0 12 input or output failed\n", other=other).check([32], [32])
        self.assertEqual(found(made.check_late(["w0"], 6.0, 20.0, [32])), {"lost": 1})
        made = history("S 32 5.0 0\nE 32 21.0 12 input or output failed\n", other=other).check([33], [33])
        self.assertEqual(found(made.check_late(["w0"], 6.0, 20.0, [33])), {})
        self.assertEqual(made.found["late refused"], 1)

    def test_what_nobody_wrote(self):
        self.assertEqual(found(history(TWO).check([65], [65])), {"foreign": 1})
        self.assertEqual(found(history(TWO + "S 96 5.0 1\nA 96 6.0\n").check([96, 96], [96, 96])), {"foreign": 1})

    def test_a_commit_that_no_stamp_counts(self):
        self.assertEqual(found(history(TWO).check_stamps([2])), {})
        self.assertEqual(found(history(TWO).check_stamps([1])), {"uncounted": 1})
        self.assertEqual(found(history(TWO).check_stamps([3])), {"uncounted": 1})

    def test_half_a_line_of_a_killed_host(self):
        made = history(TWO + "S 96 5.")
        self.assertEqual((made.acknowledged, len(made.writes)), (2, 2))


class Reads(unittest.TestCase):
    def read(self, *lines):
        return found(history(TWO, reader="".join(line + "\n" for line in lines)).check_readers())

    def test_what_was_there(self):
        self.assertEqual(self.read("R E 0.5 0.6 -1", "R E 1.5 1.6 32", "R Q 3.5 3.6 32", "R E 3.7 3.8 64", "R E 5.0 5.1 64"), {})

    def test_older_than_acknowledged(self):
        self.assertEqual(self.read("R E 5.0 5.1 32"), {"back": 1})
        self.assertEqual(self.read("R E 2.5 2.6 -1"), {"back": 1})

    def test_a_row_that_is_being_written_has_no_value(self):
        self.assertEqual(self.read("R E 3.4 3.5 -1", "R E 2.9 3.1 -1", "R E 4.3 4.4 -1"), {"back": 1})
        dead = history(TWO + "S 96 5.0 0\nX 96 6.0\n", reader="R E 7.0 7.1 -1\n").check_readers()
        self.assertEqual(found(dead), {})
        settled = history(TWO + "S 96 5.0 0\nX 96 6.0\nS 128 6.5 0\nA 128 6.6\n", reader="R E 7.0 7.1 -1\n").check_readers()
        self.assertEqual(found(settled), {"back": 1})

    def test_older_than_seen(self):
        self.assertEqual(self.read("R E 3.5 3.6 64", "R Q 3.7 3.8 32"), {"back": 1})

    def test_mixtures_and_failures(self):
        self.assertEqual(self.read("R Q 3.5 3.6 -2"), {"torn": 1})
        self.assertEqual(self.read("F Q 3.5 3.6 12 input or output failed"), {"unreadable": 1})
        self.assertEqual(self.read("V 3.5 3.6 0 sound", "V 4.5 4.6 1 fault"), {"unsound": 1})


if __name__ == "__main__":
    unittest.main()
