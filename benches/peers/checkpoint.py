"""How long it takes to note one task in a checkpoint text the way the queues of today do it: read the whole
file, change one line, write the whole file. Usage: checkpoint.py TASKS ROUNDS. Prints milliseconds a round."""

import os
import sys
import tempfile
import time


def main(tasks: int, rounds: int) -> None:
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, ".checkpoint")
    with open(path, "w") as out:
        out.write(f"Vspace File: /scratch/vspace.in\nTotal Number of Simulations: {tasks}\n")
        out.writelines(f"/scratch/sweep/semi_a{k:05} -1\n" for k in range(tasks))
        out.write("THE END\n")
    start = time.perf_counter()
    for k in range(rounds):
        with open(path) as text:
            lines = [line.strip().split() for line in text]
        lines[2 + k][1] = "1"
        with open(path, "w") as out:
            out.writelines(" ".join(words) + "\n" for words in lines)
    print(f"{(time.perf_counter() - start) / rounds * 1e3:.2f} ms")
    os.remove(path)
    os.rmdir(folder)


main(int(sys.argv[1]), int(sys.argv[2]))
