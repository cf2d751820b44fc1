"""Scans and results as notebooks show them."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._results import Results
    from ._axis import Axis
from ._scan import Scan


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag} style='text-align: left'>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"


def of_scan(scan: "Scan") -> str:
    headline, values, storage, results = scan._told()

    def rows(axes: Sequence["Axis"], kind: str) -> list[list[str]]:
        return [[kind, axis.name, f"{len(axis):,}", axis._range()] for axis in axes]

    axes = rows(scan.position_axes, "positions") + rows(scan.spectral_axes, "at each")
    lines = "<br>".join(escape(line.strip()) for line in [values, *storage])
    parts = [f"<b>{escape(headline)}</b><br>{lines}", _table(["", "axis", "steps", "values"], axes)]
    if results:
        parts.append("<br>".join(escape(line.strip()) for line in results))
    return "<div>" + "".join(parts) + "</div>"


def of_results(results: "Results") -> str:
    headline, place, *_ = results._lines()
    rows = [
        [array.name, array.quantity, array.units, " × ".join(map(str, array.shape)), str(array.dtype)]
        for array in results.values()
    ]
    table = _table(["results", "quantity", "units", "shape", "type"], rows)
    return f"<div><b>{escape(headline)}</b><br>{escape(place)}{table}</div>"
