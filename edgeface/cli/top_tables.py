"""The tables of `edgeface top`, by rich. What came over the wire is shown as plain text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeface.base.counting import people
from edgeface.cli.plain import plain
from edgeface.contract.event import Recognition
from edgeface.mqtt.site_view import DeviceView, SiteView

SHOWN_EVENTS: Final = 15
_STYLES: Final = {
    "online": "green", "offline": "bold red", "stopped": "yellow", "never seen": "dim",
    "ready": "green", "degraded": "yellow", "init": "yellow", "stopping": "yellow",
    "recognized": "green", "ambiguous": "yellow", "unknown": "magenta", "rejected_pad": "bold red",
}  # fmt: skip
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def tables(view: SiteView, now_s: float, told: str = "") -> RenderableType:
    """Devices, alerts and decisions at a time (UTC epoch seconds), below one another; `told` is a
    last line about the connection."""
    parts: list[RenderableType] = [_devices(view, now_s)]
    if (troubles := _troubles(view, now_s)).row_count:
        parts.append(troubles)
    if view.events:
        parts.append(_events(view, now_s))
    if told:
        parts.append(Text(plain(told), "dim"))
    return Group(*parts)


def _devices(view: SiteView, now_s: float) -> Table:
    table = _table(
        f"site {view.site}",
        ("device", "status", "state", "camera", "frames/s", "latency ms", "accelerator", "gallery",
         "outbox", "last decision", "°C", "alerts"),
    )  # fmt: skip
    for name in sorted(view.devices):
        _add(table, [name, *_row(view.devices[name], now_s)])
    return table


def _row(view: DeviceView, now_s: float) -> list[str]:
    state, health, last = view.state, view.health, view.last
    status = "never seen" if view.status is None else view.status.status
    latency = None if health is None else health.latency_ms
    row = [status, "-", "-"]
    if state is not None:
        camera = "ok" if state.camera.get("connected") is True else "lost"
        row = [status, state.lifecycle, f"{camera}, idle" if state.idle else camera]
    row += [
        "-" if health is None or health.fps is None else f"{health.fps:.1f}",
        "-" if latency is None else f"{latency.p50:.0f} / {latency.p99:.0f}",
        "-" if state is None else state.accelerator or "-",
        _gallery(view),
        _outbox(view, now_s),
        "-" if last is None else f"{last.event_type}, {_ago(last.decided_at, now_s)} ago",
        "-" if health is None or health.temperature_c is None else f"{health.temperature_c:.0f}",
        str(len(view.alerts)) if view.alerts else "",
    ]
    return row


def _gallery(view: DeviceView) -> str:
    gallery = None if view.state is None else view.state.gallery
    if gallery is None:
        return "-"
    text = f"{people(gallery.people)}, r{gallery.revision}"
    if view.reported is None or view.reported.standing == "current":
        return text
    missing = f", {view.reported.missing} missing" if view.reported.missing else ""
    return f"{text}, {view.reported.standing}{missing}"


def _outbox(view: DeviceView, now_s: float) -> str:
    if view.state is None:
        return "-"
    outbox = view.state.outbox
    if outbox.degraded is not None:
        return outbox.degraded
    if outbox.oldest_at is None or not outbox.depth:
        return str(outbox.depth)
    return f"{outbox.depth}, {_ago(outbox.oldest_at, now_s)}"


def _troubles(view: SiteView, now_s: float) -> Table:
    """Alerts, why a device is not ready, and what cannot be read."""
    table = _table("", ("device", "alert", "since", "what"))
    for name, device in sorted(view.devices.items()):
        for alert in sorted(device.alerts.values(), key=lambda alert: alert.since):
            _add(table, [name, alert.alert, f"{_ago(alert.since, now_s)} ago", alert.detail])
        for reason in () if device.state is None else device.state.reasons:
            if not any(alert.detail in reason for alert in device.alerts.values()):
                _add(table, [name, "", "", reason])
        for topic, fault in device.faults.items():
            _add(table, [name, "", "", f"{topic} cannot be read: {fault}"])
    return table


def _events(view: SiteView, now_s: float) -> Table:
    table = _table(
        "", ("decided", "device", "outcome", "who", "score", "threshold", "margin", "frames",
             "face px", "live", "latency ms"),
    )  # fmt: skip
    for found in list(view.events)[:SHOWN_EVENTS]:
        _add(table, _event(found, now_s))
    return table


def _event(found: Recognition, now_s: float) -> list[str]:
    match, quality = found.match, found.quality
    late = ", late" if found.historical else ""
    return [
        f"{_ago(found.decided_at, now_s)} ago{late}",
        found.device,
        found.event_type,
        "" if match is None else match.display_name or match.person_id,
        "" if match is None else f"{match.score:.2f}",
        "" if match is None else f"{match.threshold:.2f}",
        "" if match is None or match.margin is None else f"{match.margin:.2f}",
        str(found.track.frames),
        "" if quality is None else f"{quality.face_px:.0f}",
        {True: "yes", False: "no", None: ""}[found.pad.live],
        str(found.latency_ms),
    ]


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, cells: Iterable[str]) -> None:
    table.add_row(*(Text(plain(cell), _STYLES.get(cell, "")) for cell in cells))


def _ago(then: datetime, now_s: float) -> str:
    age_s = max(0.0, now_s - then.timestamp())
    size, unit = next((found for found in _UNITS if age_s >= found[0]), _UNITS[-1])
    return f"{age_s // size:.0f} {unit}"
