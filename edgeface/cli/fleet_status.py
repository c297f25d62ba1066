"""What every registered device has made of the gallery, from the reports that it signs.

A device that is behind, or silent, stops recognizing at the latest at the time named there,
whatever the broker holds back. Exit code 0: every device has what is published and has confirmed
every erasure, 1: not yet.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from edgeface.base.counting import counted, people
from edgeface.cli.dates import show
from edgeface.cli.fleet_site import open_master
from edgeface.cli.plain import plain
from edgeface.contract.codec import to_mapping
from edgeface.contract.gallery_report import Reported
from edgeface.fleet.admin.administration import Fleet
from edgeface.fleet.admin.standing import DeviceStanding


def run(args: argparse.Namespace) -> int:
    """Return 0 when every device has the gallery that is published and has confirmed every
    erasure, else 1."""
    with open_master(args) as master:
        found = Fleet(master).status()
        floor = master.ledger.state().floor
        tombstones = master.ledger.tombstones()
    good = all(item.lag == 0 and item.digest_agrees and not item.unconfirmed for item in found)
    if args.json:
        rows: list[dict[str, Any]] = []
        for item in found:
            reported = None if item.reported is None else to_mapping(item.reported)
            rows.append(asdict(item) | {"reported": reported})
        print(
            json.dumps(
                {"published": floor.version, "digest": floor.digest, "devices": rows}, indent=2
            )
        )
        return 0 if good else 1
    print(f"published: revision {floor.version}, digest {floor.digest or '-'}")
    for item in found:
        for line in _lines(item):
            print(plain(line))
    for gone in tombstones:
        missing = [item.device for item in found if gone.person_id in item.unconfirmed]
        told = f"not confirmed by {', '.join(missing)}" if missing else "confirmed by every device"
        print(f"removed {gone.person_id}: {told}")
    return 0 if good else 1


def _lines(item: DeviceStanding) -> list[str]:
    reported = item.reported
    what = "has reported nothing"
    if item.fault is not None:
        what = f"REPORT NOT BELIEVED ({item.fault})"
    elif reported is not None:
        age_s = max(0.0, time.time() - reported.reported_at.timestamp())
        lag = "" if not item.lag else f", {item.lag} behind"
        what = (
            f"revision {item.applied or '-'}{lag}, {reported.standing}, {people(reported.people)}"
        )
        if item.digest_agrees is False:
            what += ", DIGEST DIFFERS"
        if reported.missing:
            what += f", {counted(reported.missing, 'record')} missing"
        what += f", reported {age_s:.0f} s ago"
    lines = [f"{item.device}: {item.status or 'never seen'}, {what}"]
    if item.alerts:
        lines.append(f"  alerts: {', '.join(item.alerts)}")
    if reported is not None:
        lines += _refusals(reported, resolved=item.lag == 0 and not reported.missing)
    if item.unconfirmed:
        lines.append(f"  {counted(len(item.unconfirmed), 'erasure')} not confirmed")
    if item.prepared is False:
        lines.append(
            "  has not confirmed the prepared keys: copy its bundle's state/fleet, reload it"
        )
    if item.frozen_until_s is not None:
        lines.append(f"  stops recognizing at {show(item.frozen_until_s)} at the latest")
    return lines


def _refusals(reported: Reported, *, resolved: bool) -> list[str]:
    """Of a device that has all that is published only what it refused lately."""
    since = reported.reported_at - timedelta(days=1)
    shown = [one for one in reported.refusals if not resolved or one.last_at >= since]
    lines = []
    for one in shown:
        when = f"{counted(one.count, 'time')}, last {show(one.last_at.timestamp())}"
        lines.append(f"  refused {when}: {one.reason}, {one.topic}: {one.detail}")
    older = len(reported.refusals) - len(shown)
    if older:
        lines.append(f"  {counted(older, 'older refusal')}, since resolved; --json has them")
    return lines
