"""The gallery: whether its file is whole, who can be recognized, and how old a fleet's is."""

from __future__ import annotations

from datetime import UTC, datetime

from edgeface.base.clock import NS, Clock
from edgeface.base.counting import counted, people
from edgeface.base.errors import GalleryError, StateError
from edgeface.fleet.device.tables import FleetTables
from edgeface.fleet.device.trusted import Trusted
from edgeface.fleet.protocol.terms import RefusedError
from edgeface.gallery.opening import gallery_key
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import load_package
from edgeface.service.checked_models import in_use
from edgeface.service.doctor.finding import Finding, Patient, failed, together
from edgeface.service.fleet_gallery import DAY_S, provision_of
from edgeface.settings.tree import Settings


def gallery(patient: Patient) -> Finding:
    """The file is whole, each row opens, everybody has templates of the model in use; a fleet's is
    fresh. A damaged file stays where it is."""
    settings = patient.configured
    fleet = settings.gallery.source == "fleet"
    if fleet:
        try:
            provision_of(settings)  # which is to be told before there is a gallery
        except (GalleryError, StateError) as error:
            return failed(str(error))
    if not settings.gallery_file.exists():
        if fleet:
            text = "nothing has come of the fleet's gallery yet, so nobody is recognized"
            return Finding("warn", text, _REFRESH)
        return Finding("ok", "empty: nobody is enrolled yet, so nobody is recognized")
    with GalleryStore(settings.gallery_file, gallery_key(settings)) as store:
        found = [_people(settings, store)]
        if fleet:
            found.append(_freshness(settings, store))
    return together(found)


_REFRESH = (
    "see that the broker answers, and run `edgeface fleet refresh` on the administrator's machine"
)


def _people(settings: Settings, store: GalleryStore) -> Finding:
    space = load_package(in_use(settings).models.embedder).space_id
    index, damaged = store.load(space)
    count = store.count()
    text = f"{people(count)}, {counted(len(index.matrix), 'template')}"
    without = count - len(index.people) - len(damaged)
    if damaged:
        text += f"; {people(len(damaged))} with rows that do not open"
    if without:
        text += f"; {people(without)} without templates of the model in use"
    if damaged or without:
        cure = "enroll them again; `edgeface gallery audit` names them"
        return Finding("warn", f"{text}: they are not recognized", cure)
    return Finding("ok", text)


def _freshness(settings: Settings, store: GalleryStore) -> Finding:
    """How long the fleet's gallery, as it is on the disk, may be used."""
    tables = FleetTables(store)
    grace_s = settings.gallery.grace_days * DAY_S
    trusted = Trusted(settings.site, provision_of(settings), grace_s, tables)
    manifest, freshness = tables.messages()
    if manifest is None:
        return Finding("warn", "no manifest of the fleet has come yet", _REFRESH)
    try:
        trusted.load_manifest(manifest, None)
        if freshness is not None:
            trusted.load_freshness(freshness, None)
    except RefusedError as error:
        return Finding("fail", f"its manifest is refused: {error}", _REFRESH)
    now_s = Clock().utc_ns() / NS
    fresh_s, good_s = trusted.fresh_until_s, trusted.good_until_s
    assert fresh_s is not None
    assert good_s is not None
    text = f"manifest {trusted.version}"
    if now_s >= good_s:
        return Finding(
            "fail", f"{text}: too old since {_day(good_s)}, nobody is recognized", _REFRESH
        )
    if now_s >= fresh_s:
        text += f": not confirmed since {_day(fresh_s)}, nobody is recognized from {_day(good_s)}"
        return Finding("warn", text, _REFRESH)
    return Finding("ok", f"{text}, confirmed until {_day(fresh_s)}")


def _day(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M} UTC"
