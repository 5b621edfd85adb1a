"""Tables of what was measured: plain text, Markdown, and the raw numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from model import Mark, Peer, Quantity, Results

NOT_PRESENT = "not present"
FAILED = "failed"


def figure(results: Results, peer: str, case: str, name: str | None = None) -> float | None:
    """Of a peer's runs: the median in microseconds per operation, or the quantity of that name."""
    runs = results.runs.get((peer, case))
    if not runs:
        return None
    if name is None:
        return median(run.us_per_operation for run in runs)
    quantity = next(quantity for quantity in results.task.quantities if quantity.name == name)
    values = [run.beside[name] for run in runs if name in run.beside]
    return quantity.of_runs(values) if values else None


def ratio(
    results: Results, over: str, under: str | None, case: str, name: str | None = None
) -> float | None:
    """One peer's figure by the other's; the figure itself where there is no other."""
    above = figure(results, over, case, name)
    below = 1.0 if under is None else figure(results, under, case, name)
    return above / below if above is not None and below is not None else None


@dataclass(frozen=True)
class Verdict:
    """A mark and what was measured of it; `measured` is None when a peer of it is absent."""

    mark: Mark
    measured: float | None

    @property
    def word(self) -> str:
        if self.measured is None:
            return "not measured"
        return "reached" if self.mark.reached(self.measured) else "missed"


def verdicts(results: Results) -> list[Verdict]:
    return [Verdict(mark, measured(results, mark)) for mark in results.task.marks]


def measured(results: Results, mark: Mark) -> float | None:
    """The ratio, or the difference, of a mark."""
    if not mark.difference or mark.under is None:
        return ratio(results, mark.over, mark.under, mark.case, mark.quantity)
    above, below = (figure(results, peer, mark.case, mark.quantity) for peer in (mark.over, mark.under))
    return above - below if above is not None and below is not None else None


def text(results: Results, machine: Mapping[str, str]) -> str:
    """The tables for a terminal."""
    return "\n".join(_parts(results, machine, _plain_table, bullet="  "))


def markdown(results: Results, machine: Mapping[str, str]) -> str:
    """The same for a page of the documentation."""
    return "\n".join(_parts(results, machine, _markdown_table, bullet="- "))


def raw(results: Results, machine: Mapping[str, str]) -> dict[str, Any]:
    """Everything measured, for programs."""
    task = results.task
    return {
        "task": task.name,
        "title": task.title,
        "unit": task.unit,
        "machine": dict(machine),
        "versions": results.versions,
        "peers": {
            peer.name: {
                "title": peer.title,
                "absent": results.absent.get(peer.name),
                "cases": {case: _raw_case(results, peer.name, case) for case in task.cases},
            }
            for peer in task.peers
        },
        "marks": [
            {
                "case": verdict.mark.case,
                "over": verdict.mark.over,
                "under": verdict.mark.under,
                "of": verdict.mark.quantity or "time",
                "difference": verdict.mark.difference,
                "at_least" if verdict.mark.at_least else "at_most": verdict.mark.bound,
                "measured": verdict.measured,
                "verdict": verdict.word,
            }
            for verdict in verdicts(results)
        ],
    }


def _raw_case(results: Results, peer: str, case: str) -> dict[str, Any]:
    return {
        "us": figure(results, peer, case),
        "ratio": ratio(results, peer, results.task.baseline, case),
        "failed": results.failed.get((peer, case)),
        "runs": [
            {
                "operations": run.operations,
                "planned": run.planned,
                "wall_s": run.wall_s,
                **run.beside,
            }
            for run in results.runs.get((peer, case), [])
        ],
    }


def _parts(results: Results, machine: Mapping[str, str], table: Any, bullet: str) -> list[str]:
    """Title, figures, notes, spread, place and marks, as lines."""
    task = results.task
    head = [
        "peer",
        *(f"{task.unit} at {case}" for case in task.cases),
        *(f"x {task.baseline} at {case}" for case in task.cases),
    ]
    rows = [_row(results, peer) for peer in task.peers]
    spread_head = ["peer", *(f"runs at {case}" for case in task.cases)]
    spread_rows = [
        [peer.title, *(_spread(results, peer.name, case) for case in task.cases)]
        for peer in task.peers
        if peer.name not in results.absent
    ]
    # Peers of the same library share an entry; a dict keeps their order.
    versions = "; ".join(
        dict.fromkeys(
            ", ".join(f"{what} {number}" for what, number in found.items())
            for found in results.versions.values()
            if found
        )
    )
    mark_head = ["mark", "demanded", "measured", "verdict"]
    return [
        task.title,
        "",
        *table(head, rows),
        "",
        *(
            line
            for quantity in task.quantities
            for line in [*_quantity_table(results, quantity, table), ""]
        ),
        *(bullet + line for line in _notes(results)),
        "",
        "Runs of each figure (the median), their span, and the operations made when not all:",
        "",
        *table(spread_head, spread_rows),
        "",
        "Machine: " + ", ".join(f"{what} {value}" for what, value in machine.items()) + ".",
        f"Versions: {versions}.",
        "",
        "Marks:",
        "",
        *table(mark_head, [_mark_row(results, verdict) for verdict in verdicts(results)]),
    ]


def _quantity_table(results: Results, quantity: Quantity, table: Any) -> list[str]:
    task = results.task
    head = ["peer", *(f"{quantity.title} at {case}" for case in task.cases)]
    rows = [
        [
            peer.title,
            *(_times(figure(results, peer.name, case, quantity.name)) for case in task.cases),
        ]
        for peer in task.peers
        if peer.name not in results.absent
    ]
    return list(table(head, rows))


def _row(results: Results, peer: Peer) -> list[str]:
    cases = results.task.cases
    return [
        peer.title,
        *(_figure_cell(results, peer.name, case) for case in cases),
        *(_times(ratio(results, peer.name, results.task.baseline, case)) for case in cases),
    ]


def _figure_cell(results: Results, peer: str, case: str) -> str:
    if peer in results.absent:
        return NOT_PRESENT
    if (peer, case) in results.failed:
        return FAILED
    value = figure(results, peer, case)
    return "-" if value is None else _digits(value / results.task.unit_us)


def _spread(results: Results, peer: str, case: str) -> str:
    runs = results.runs.get((peer, case))
    if not runs:
        return "-"
    figures = sorted(run.us_per_operation / results.task.unit_us for run in runs)
    cell = f"{len(runs)}: {_digits(figures[0])}"
    if len(runs) > 1:
        cell += f" .. {_digits(figures[-1])}"
    fewest = min(runs, key=lambda run: run.operations)
    if fewest.operations < fewest.planned:
        cell += f" ({fewest.operations} of {fewest.planned})"
    return cell


def _notes(results: Results) -> list[str]:
    lines = []
    for peer in results.task.peers:
        if peer.name in results.absent:
            lines.append(f"{peer.title}: {NOT_PRESENT}; {results.absent[peer.name]}")
            continue
        note = peer.note
        cut = [
            case
            for case in results.task.cases
            for run in results.runs.get((peer.name, case), [])[:1]
            if run.operations < run.planned
        ]
        if cut:
            note += f" Bounded by time at {', '.join(cut)}: the figure is of the commits that fit."
        if note:
            lines.append(f"{peer.title}: {note}")
        lines += [
            f"{peer.title} at {case}: {FAILED}: {why}"
            for (name, case), why in results.failed.items()
            if name == peer.name
        ]
    return lines


def _mark_row(results: Results, verdict: Verdict) -> list[str]:
    mark = verdict.mark
    titles = {peer.name: peer.title for peer in results.task.peers}
    of = {quantity.name: f"{quantity.title}: " for quantity in results.task.quantities}
    by = "less" if mark.difference else "/"
    under = "" if mark.under is None else f" {by} {titles[mark.under]}"
    return [
        f"{of.get(mark.quantity or '', '')}{titles[mark.over]}{under} at {mark.case}",
        f"{'>=' if mark.at_least else '<='} {mark.bound:g}",
        _times(verdict.measured),
        verdict.word,
    ]


def _digits(value: float) -> str:
    """Three digits are what such a measurement is good for."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "-" if value is None else _digits(value)


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join([first, *rest]).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]]
