"""What notebooks show of files and tables."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._store import Store
    from ._table import Table

_PARTS = 60


def store_html(store: Store) -> str:
    """All tables of a file."""
    tables = "".join(table_html(table) for table in store.values())
    return f"<div><strong>h5part.Store</strong> {escape(store.path)}{tables}</div>"


def table_html(table: Table) -> str:
    """Columns of a table, and which parts of it are there."""
    info = table._info()
    coverage = {}
    if info["has_stamps"]:
        coverage = {column.name: column for column in table.status(_PARTS).columns}
    lines = []
    for column in info["columns"]:
        name, status = column["name"], coverage.get(column["name"])
        shape = "×".join(map(str, column["shape"])) or "scalar"
        there = "" if status is None else f"{status.committed} of {info['rows']}"
        strip = "" if status is None else _strip(status.coverage)
        cells = (escape(name), escape(column["dtype"] or "carried along"), shape, there, strip)
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{text}</th>" for text in ("column", "type", "shape", "rows there", "coverage"))
    title = f"<div><code>{escape(table.name) or '/'}</code>: {info['rows']} rows</div>"
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
