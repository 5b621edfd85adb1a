"""`Pool.map` of empty items beside `ProcessPoolExecutor.map`, same chunk size, interleaved.

python python/bench/pool.py [--items 10000] [--rounds 9] [--workers 2] [--chunks 1 10 100]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from concurrent.futures import Executor, ProcessPoolExecutor

from h5part import Pool


def nothing(item: int) -> int:
    return item


def seconds(pool: Executor, items: int, chunk: int) -> float:
    start = time.perf_counter()
    count = sum(1 for _ in pool.map(nothing, range(items), chunksize=chunk))
    assert count == items
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--json", action="store_true", help="one line of JSON per chunk size")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with Pool(args.workers) as ours, ProcessPoolExecutor(args.workers, mp_context=context) as theirs:
        for pool in (ours, theirs):
            seconds(pool, 1000, 1)  # Starts the workers.
        for chunk in args.chunks:
            times: dict[str, list[float]] = {"h5part": [], "concurrent.futures": []}
            for _ in range(args.rounds):
                times["h5part"].append(seconds(ours, args.items, chunk))
                times["concurrent.futures"].append(seconds(theirs, args.items, chunk))
            medians = {name: statistics.median(values) for name, values in times.items()}
            ratio = medians["h5part"] / medians["concurrent.futures"]
            if args.json:
                print(json.dumps({"items": args.items, "chunk": chunk, "median_s": medians, "ratio": ratio}))
                continue
            told = ", ".join(f"{name} {value * 1e3:.1f} ms" for name, value in medians.items())
            print(f"{args.items} items, {chunk} per chunk: {told}, ratio {ratio:.2f} (limit 1.30)")


if __name__ == "__main__":
    main()
