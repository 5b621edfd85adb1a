"""Which contents check.py and points.py allow at a point. Needs no guest: python3 -m unittest."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import log
import points
from check import Check
from tables import BY_NAME, TABLES, values, writer_of


def commit(number, rows, **more):
    return {"number": number, "kind": "commit", "table": "guarded", "rows": rows, **more}


class Rows(unittest.TestCase):
    table = BY_NAME["guarded"]

    def wrong(self, history, acknowledged, cells, row=3):
        check = Check("h5part", history)
        return check._row(self.table, row, [str(cell) for cell in cells], check.allowed(("row", "guarded", row), acknowledged))

    def nothing(self):
        return [""] * len(values(self.table, 3, 1))

    def test_each_value_names_its_commit(self):
        for table in TABLES:
            for row in range(2 * table.rows):
                for number in (1, 500):
                    self.assertEqual(writer_of(values(table, row, number), table, row), number)
                    self.assertIsNone(writer_of(values(table, row, number), table, row + 1))
        self.assertIsNone(writer_of([float("nan")] * 14, self.table, 3))

    def test_the_last_acknowledged_commit_or_the_next_one(self):
        history = [commit(1, [3]), commit(2, [3, 4]), commit(3, [3])]
        self.assertIsNone(self.wrong(history, set(), self.nothing()))
        self.assertIsNone(self.wrong(history, set(), values(self.table, 3, 1)))
        self.assertIsNone(self.wrong(history, {1}, values(self.table, 3, 1)))
        self.assertIsNone(self.wrong(history, {1}, values(self.table, 3, 2)))
        self.assertIn("is as commit 1 left it", self.wrong(history, {1, 2}, values(self.table, 3, 1)))
        self.assertIn("is as commit 3 left it", self.wrong(history, {1}, values(self.table, 3, 3)))
        self.assertIn("is not there", self.wrong(history, {1}, self.nothing()))

    def test_a_killed_commit_may_have_been_made(self):
        history = [commit(1, [3]), commit(2, [3], killed=True), commit(3, [3])]
        for number in (1, 2, 3):
            self.assertIsNone(self.wrong(history, {1}, values(self.table, 3, number)))
        self.assertIsNotNone(self.wrong(history, {1, 3}, values(self.table, 3, 2)))

    def test_a_reset_leaves_nothing(self):
        history = [commit(1, [3]), {"number": 2, "kind": "reset", "table": "guarded", "rows": [3]}]
        self.assertIsNone(self.wrong(history, {1}, self.nothing()))
        self.assertIsNone(self.wrong(history, {1}, values(self.table, 3, 1)))
        self.assertIsNotNone(self.wrong(history, {1, 2}, values(self.table, 3, 1)))

    def test_mixtures(self):
        history = [commit(1, [3]), commit(2, [3])]
        old, new = values(self.table, 3, 1), values(self.table, 3, 2)
        for split in range(1, len(new)):
            self.assertIn("is a mixture", self.wrong(history, {1}, new[:split] + old[split:]))
            self.assertIn("is a mixture", self.wrong(history, {1}, new[:split] + self.nothing()[split:]))


class Points(unittest.TestCase):
    def entries(self):
        entries = []
        for number in range(50):
            entries += [log.Entry(number * 512, 512, 0, 0), log.Entry(0, 0, log.FLUSH, 0), log.Entry(0, 0, log.MARK, 0, str(number))]
        return entries

    def test_all_barriers_are_tested_where_there_is_room(self):
        chosen = points.choose(self.entries(), 400, 1)
        barriers = {point.position for point in chosen if point.kind == "barrier"}
        self.assertEqual(barriers, {0} | {3 * k for k in range(1, 51)})
        self.assertEqual(len(chosen), 400)
        self.assertEqual(chosen, points.choose(self.entries(), 400, 1))
        self.assertEqual([point.position for point in chosen], sorted(point.position for point in chosen))

    def test_what_is_acknowledged(self):
        self.assertEqual(points.Point(6, "barrier").acknowledged(self.entries()), {0, 1})

    def test_points_as_text(self):
        for point in points.choose(self.entries(), 30, 1):
            self.assertEqual(points.Point.parse(str(point)), point)


if __name__ == "__main__":
    unittest.main()
