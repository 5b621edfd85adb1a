"""Which points of a log are tested.

A point is a position in the log, and a way to lose writes:

- `barrier`: all entries up to a flush, a write with FUA, or a mark. All writes that came later are lost.
- `between`: all entries up to a position between barriers: pending writes are kept in the order in which they
  completed.
- `subset`: after a position, a random subset of the writes that are pending until the next barrier.
- `torn`: the same, of each sector of these writes (of each block of metadata).
- `unordered`: half of the last writes are lost although they were flushed. No device may do that. Only for the control.
"""

import dataclasses
import random

import log

# How many entries `unordered` may lose.
WINDOW = 40


@dataclasses.dataclass(frozen=True)
class Point:
    position: int
    kind: str
    seed: int | None = None

    def __str__(self):
        return f"{self.kind} {self.position}" + ("" if self.seed is None else f" {self.seed}")

    @staticmethod
    def parse(text):
        kind, position, *seed = text.split()
        return Point(int(position), kind, int(seed[0]) if seed else None)

    def put(self, replay, disk):
        """Makes the disk what it was at this point."""
        if self.kind == "unordered":
            start = max(replay.position, self.position - WINDOW)
            replay.forward(start)
            replay.put_without(disk, self.seed, self.position - start)
        else:
            replay.forward(self.position)
            replay.put(disk, self.seed, torn=self.kind == "torn")

    def acknowledged(self, entries):
        """The numbers in the marks before this point."""
        return {int(entry.mark) for entry in entries[: self.position] if entry.mark.isdigit()}


def choose(entries, count, seed, unordered=False):
    """Up to `count` points, in the order of the log. All barriers are among them if they are at most half of these."""
    chance = random.Random(seed)
    positions = log.positions(entries)
    if unordered:
        chosen = [Point(chance.choice(positions), "unordered", chance.getrandbits(32)) for _ in range(count)]
        return sorted(chosen, key=lambda point: point.position)
    barriers, between, losing = [], [], []
    for position in positions:
        last = entries[position - 1] if position else None
        (barriers if last is None or last.is_barrier or last.is_mark else between).append(position)
        if len(log.pending(entries, position)) > 0:
            losing.append(position)
    chosen = {Point(position, "barrier") for position in sample(chance, barriers, count // 2)}
    chosen |= {Point(position, "between") for position in sample(chance, between, count // 8)}
    while losing and len(chosen) < count:
        kind = chance.choice(["subset", "torn"])
        chosen.add(Point(chance.choice(losing), kind, chance.getrandbits(32)))
    return sorted(chosen, key=lambda point: (point.position, point.kind, point.seed or 0))


def sample(chance, positions, count):
    return positions if len(positions) <= count else chance.sample(positions, count)
