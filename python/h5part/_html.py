"""What notebooks show of files and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

# Bars of the strip that shows the coverage of a column.
PARTS = 60


def store_html(path: str, tables: Iterable[str]) -> str:
    """A file, with the text of each of its tables."""
    return f"<div><strong>h5part.Store</strong> {escape(path)}{''.join(tables)}</div>"


def table_html(table: str, info: Mapping[str, Any], committed: Mapping[str, tuple[int, tuple[float, ...]]]) -> str:
    """Columns of a table, and which parts of it are there.

    ``committed`` holds the committed cells, and the committed share of each part, of columns that have stamps.
    """
    lines = []
    for column in info["columns"]:
        name = column["name"]
        shape = "×".join(map(str, column["shape"])) or "scalar"
        cells, coverage = committed.get(name, (None, ()))
        there = "" if cells is None else f"{cells} of {info['rows']}"
        strip = "" if cells is None else _strip(coverage)
        texts = (escape(name), escape(column["dtype"] or "carried along"), shape, there, strip)
        lines.append("<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>")
    head = "".join(f"<th>{text}</th>" for text in ("column", "type", "shape", "rows there", "coverage"))
    title = f"<div><code>{escape(table) or '/'}</code>: {info['rows']} rows</div>"
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _strip(coverage: tuple[float, ...]) -> str:
    width, height = 240, 12
    step = width / max(1, len(coverage))
    bars = "".join(
        f'<rect x="{k * step:.1f}" width="{step:.1f}" height="{height}" fill="#1f77b4" fill-opacity="{share:.2f}"/>'
        for k, share in enumerate(coverage)
        if share > 0
    )
    return f'<svg width="{width}" height="{height}" role="img" aria-label="share of rows there">{bars}</svg>'
