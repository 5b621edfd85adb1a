"""The format and the replay of log.py, on a log that is made here. Needs no guest: python3 -m unittest."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import log

S = log.SECTOR_BYTES


def make(path, entries):
    """Writes a log of (sector, data, flags); the data of a mark is its text, that of a discard a number of sectors."""
    body = b""
    for sector, data, flags in entries:
        mark = data if flags & log.MARK else b""
        sectors = 0 if mark else data if flags & log.DISCARD else len(data) // S
        body += (log.HEADER.pack(sector, sectors, flags, len(mark)) + mark).ljust(S, b"\0")
        if not mark and not flags & log.DISCARD:
            body += data
    path.write_bytes(log.SUPER.pack(log.MAGIC, log.VERSION, len(entries), S).ljust(S, b"\0") + body)


class Log(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.base, self.log, self.disk = self.dir / "base", self.dir / "log", self.dir / "disk"
        self.base.write_bytes(b"." * (16 * S))

    def replay(self):
        replay = log.Replay(self.base, self.log, self.dir / "image")
        self.addCleanup(replay.close)
        file = os.open(self.disk, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, file)
        return replay, file

    def sectors(self):
        """The first byte of each sector of the disk. Sectors are uniform here."""
        data = self.disk.read_bytes()
        for start in range(0, len(data), S):
            self.assertEqual(data[start : start + S], data[start : start + 1] * S)
        return data[::S].decode()

    def test_entries(self):
        make(self.log, [(1, b"a" * S, 0), (0, b"", log.FLUSH), (0, b"seven", log.MARK), (4, 3, log.DISCARD),
                        (2, b"b" * 2 * S, log.FUA | log.METADATA)])
        entries = log.read(self.log)
        self.assertEqual([(e.start // S, e.bytes // S, e.flags, e.mark) for e in entries], [
            (1, 1, 0, ""), (0, 0, log.FLUSH, ""), (0, 0, log.MARK, "seven"), (4, 3, log.DISCARD, ""),
            (2, 2, log.FUA | log.METADATA, "")])
        self.assertEqual([e.is_barrier for e in entries], [False, True, False, False, True])
        # Not before the mark.
        self.assertEqual(log.positions(entries), [0, 1, 3, 4, 5])

    def test_another_file_is_refused(self):
        self.log.write_bytes(bytes(S))
        self.assertRaises(ValueError, log.read, self.log)

    def test_each_prefix(self):
        make(self.log, [(1, b"a" * 2 * S, 0), (2, b"b" * 2 * S, 0), (0, b"", log.FLUSH), (0, b"x", log.MARK),
                        (1, 2, log.DISCARD)])
        replay, file = self.replay()
        expected = ["................", ".aa.............", ".abb............", ".abb............",
                    ".abb............", ".\0\0b............"]
        for position, disk in enumerate(expected):
            replay.forward(position)
            # What the guest left there is gone again.
            os.pwrite(file, b"g" * 5 * S, 8 * S)
            replay.put(file)
            self.assertEqual(self.sectors(), disk)

    def test_subsets_of_pending_writes(self):
        make(self.log, [(0, b"a" * S, 0), (0, b"", log.FLUSH), (0, b"x", log.MARK), (1, b"b" * S, 0),
                        (1, b"c" * S, 0), (3, b"d" * 2 * S, 0), (0, b"e" * S, log.FUA), (5, b"f" * S, 0)])
        replay, file = self.replay()
        replay.forward(2)
        self.assertEqual([e.start // S for e in log.pending(replay.entries, 2)], [1, 1, 3])
        seen, torn = set(), set()
        for seed in range(300):
            replay.put(file, seed=seed)
            seen.add(self.sectors()[:6])
            replay.put(file, seed=seed, torn=True)
            torn.add(self.sectors()[:6])
        self.assertEqual(seen, {f"a{one}.{two}." for one in ".bc" for two in ("..", "dd")})
        self.assertEqual(torn, {f"a{one}.{two}." for one in ".bc" for two in ("..", "dd", ".d", "d.")})
        # The same seed gives the same disk.
        replay.put(file, seed=7, torn=True)
        first = self.sectors()
        replay.put(file, seed=7, torn=True)
        self.assertEqual(self.sectors(), first)

    def test_metadata_is_torn_in_blocks(self):
        make(self.log, [(0, b"m" * 16 * S, log.METADATA)])
        replay, file = self.replay()
        seen = set()
        for seed in range(100):
            replay.put(file, seed=seed, torn=True)
            seen.add(self.sectors())
        self.assertEqual(seen, {one * 8 + two * 8 for one in ".m" for two in ".m"})

    def test_ignored_flushes(self):
        make(self.log, [(0, b"a" * S, 0), (0, b"", log.FLUSH), (1, b"b" * S, 0), (0, b"", log.FLUSH)])
        replay, file = self.replay()
        seen = set()
        for seed in range(100):
            replay.put_without(file, seed, window=4)
            seen.add(self.sectors()[:2])
        self.assertEqual(seen, {"..", "a.", ".b", "ab"})

    def test_sparse_files(self):
        with open(self.base, "wb") as file:
            file.truncate(1 << 24)
            os.pwrite(file.fileno(), b"x" * S, 1 << 23)
        make(self.log, [(0, b"", log.FLUSH)])
        replay, file = self.replay()
        replay.put(file)
        os.pwrite(file, b"guest" * S, 1 << 22)
        replay.put(file)
        self.assertEqual(self.disk.read_bytes(), self.base.read_bytes())
        self.assertLess(os.fstat(replay.image).st_blocks * 512, 1 << 20)


if __name__ == "__main__":
    unittest.main()
