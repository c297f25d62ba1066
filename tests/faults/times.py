"""The tables of what was told when, in Markdown: they stand in docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.one_by_one import Cell

LATE_S = 5.0
"""A fault that is told later than this is told late; the tables show it in bold."""


def tables(singles: Sequence[Cell], pairs: Sequence[Cell], took_s: float) -> str:
    """Both, and what went wrong."""
    cells = [*singles, *pairs]
    late = sum(_slowest(cell) > LATE_S for cell in cells)
    lines = [*_singles(singles), ""]
    if pairs:
        lines += [*_pairs(pairs), ""]
    lines.append(
        f"{len(singles)} faults and {len(pairs)} pairs in {took_s / 60:.0f} min; told later than "
        f"{LATE_S:g} s: {late}; wrong: {sum(bool(cell.troubles) for cell in cells)}"
    )
    lines += [f"- again, after a first attempt: {c.name}: {c.first}" for c in cells if c.first]
    lines += [f"- WRONG: {c.name}: {'; '.join(c.troubles)}" for c in cells if c.troubles]
    return "\n".join(lines)


def _singles(cells: Sequence[Cell]) -> list[str]:
    lines = [
        "| fault | injected | told in | after | meanwhile | well again after |",
        "| --- | --- | --- | ---: | --- | ---: |",
    ]
    for cell in cells:
        (fault,) = cell.faults
        told = _seconds(cell.told_s.get(fault.name))
        lines.append(
            f"| {fault.name} | {fault.how} | {fault.told_by} | {told} | {cell.went_on} | "
            f"{_seconds(cell.recovered_s, late=False)} |"
        )
    return lines


def _pairs(cells: Sequence[Cell]) -> list[str]:
    """A matrix: when the later of the two was told, and when all was well again."""
    in_turn = [cell.faults[which].name for which in (0, 1) for cell in cells]
    names = list(dict.fromkeys(in_turn))
    found = {frozenset(fault.name for fault in cell.faults): cell for cell in cells}
    columns = names[1:]
    numbers = {name: number for number, name in enumerate(names, 1)}
    lines = [
        "| | " + " | ".join(str(numbers[name]) for name in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row in names:
        entries = [
            _entry(found.get(frozenset((row, column)))) if numbers[column] > numbers[row] else ""
            for column in columns
        ]
        lines.append(f"| {numbers[row]} {row} | " + " | ".join(entries) + " |")
    return lines


def _entry(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"{_seconds(_slowest(cell))} / {_seconds(cell.recovered_s, late=False)}"


def _slowest(cell: Cell) -> float:
    return max(cell.told_s.values(), default=0.0)


def _seconds(value: float | None, *, late: bool = True) -> str:
    if value is None:
        return "never"
    return f"**{value:.1f}**" if late and value > LATE_S else f"{value:.1f}"
