"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.accounts import DoorBook
from tests.faults.harness import Report

_WIDTH = 72


def table(report: Report, *, filled: bool) -> str:
    """What was done, what was counted, and what has to be zero."""
    books, plan = report.books, report.plan
    committed = books.committed
    seen, uncommitted = books.seen, _uncommitted(report)
    duplicates = len(books.log) - len(seen)
    lines = [f"\nfaults, seed {plan.seed}, {report.took_s:.0f} s"]
    lines += _row("  daemon killed (SIGKILL)", f"{report.kills} of {plan.kills}")
    lines += _row("    of these before its first event", report.early_kills)
    for fault in report.faults:
        lines += _row(
            f"  {fault.name}", f"{fault.done} of {fault.wanted}, {fault.total_s:.0f} s in all"
        )
    if report.flips is not None:
        done = report.flips.done
        lines += _row("  bits flipped between two lives", f"{done.total()} of {plan.flips}")
        for name, count in sorted(done.items()):
            lines += _row(f"    in {name}", count)
    if filled:
        lines += _row("    daemon killed while the disk was full", report.full_disk_kills)
    else:
        lines += ["  disk full: left out, no tmpfs can be mounted here (it takes root)"]
    lines += ["events"]
    lines += _row("  committed to the outbox", sum(committed.values()))
    lines += _row("    sessions that committed any", len(committed))
    lines += _row("  in memory only at first, while the disk was full", _in_memory(report))
    lines += _row("    of these never committed, killed before", len(uncommitted))
    lines += _row("      and gone: never published either", len(uncommitted - seen))
    lines += _row("  on event/log, different ones", len(seen))
    lines += _row("    of these historical at their first arrival", _historical(report))
    lines += _row("    second copies, known by their event_id", duplicates)
    lines += _row("  announced as dropped by gap events", len(books.announced))
    lines += _row("    of these arrived all the same", len(books.announced & seen))
    lines += _row("    gap events", len({item.event_id for item in books.log if item.gaps}))
    for door in books.doors:
        lines += _door(door)
    lines += ["has to be 0"]
    for check in report.checks():
        lines += _row(f"  {check.promise}", check.wrong)
        if check.wrong:
            lines.append(f"      e.g. {check.example}")
    wrong = sum(check.wrong for check in report.checks())
    lines.append(f"WRONG: {wrong}" if wrong else "all counts are right")
    return "\n".join(lines)


def _door(door: DoorBook) -> Iterable[str]:
    kept = "its session is kept while it is away" if door.redelivered else "clean start"
    yield f"{door.name} ({kept})"
    yield from _row("  arrivals on event", door.arrived.total())
    late = f"{len(door.late_s)}"
    if door.late_s:
        late += f", by up to {max(door.late_s):.1f} s"
    yield from _row("    late arrivals, after their validity", late)
    yield from _row("    second copies", door.duplicates)
    yield from _row("  accepted", door.accepted.total())
    for reason, count in sorted(door.verdicts.items()):
        if reason != "ok":
            yield from _row(f"  refused: {reason}", count)


def _in_memory(report: Report) -> int:
    return sum(not item.on_disk for item in report.books.ledger.values())


def _uncommitted(report: Report) -> set[tuple[str, int]]:
    committed = report.books.committed
    return {key for key in report.books.ledger if key[1] > committed.get(key[0], 0)}


def _historical(report: Report) -> int:
    first = {item.event_id: item.historical for item in reversed(report.books.log)}
    return sum(first.values())


def _row(name: str, value: object) -> list[str]:
    return [f"{name:<{_WIDTH}}{value}"]
