"""The administrator of `bench sync`: a site of random people on a private broker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from edgeface.base.ids import new_person_id
from edgeface.bench.sync_device import SITE, SPACE, DevicePlan
from edgeface.fleet.admin.administration import Fleet
from edgeface.fleet.admin.devices import Extras, add_device
from edgeface.fleet.admin.master import Master, make_site
from edgeface.fleet.admin.publishing import Published
from edgeface.fleet.admin.site import SiteFolder
from edgeface.gallery.person import Person, StoredTemplate
from edgeface.recognition.templates import DIMENSIONS, encode_template

_CHUNK: Final = 5_000


class SyncSite:
    """Folder, keys, people. Used by one thread."""

    def __init__(self, path: Path, host: str, port: int, templates: int) -> None:
        """`templates` of each person."""
        lines = [f"site: {SITE}", "mqtt:", f"  host: {host}", f"  port: {port}", "  tls: 'off'"]
        self._passphrase = secrets.token_hex(8).encode()
        self.folder: SiteFolder = make_site(
            path, "\n".join([*lines, ""]).encode(), self._passphrase
        )[0]
        self._host, self._port = host, port
        self._templates = templates
        self._random = np.random.default_rng(5)
        self.people: list[str] = []

    def add(self, count: int) -> list[str]:
        """So many new people; their ids."""
        fresh = [new_person_id() for _ in range(count)]
        self.people += fresh
        self.enroll(fresh)
        return fresh

    def enroll(self, people: Iterable[str]) -> None:
        """Give these people (new) templates."""
        wanted = list(people)
        with Master(self.folder) as master:
            for start in range(0, len(wanted), _CHUNK):
                some = wanted[start : start + _CHUNK]
                with master.touching(some) as store, store.change() as change:
                    for person_id in some:
                        change.put_person(Person(person_id, created_s=time.time()))
                        change.put_templates(person_id, SPACE, self._random_templates())

    def remove(self, person_id: str) -> None:
        """Erase somebody."""
        self.people.remove(person_id)
        with Master(self.folder) as master:
            master.remove([person_id])

    def publish(self) -> Published:
        """As `edgeface fleet publish`."""
        with Master(self.folder) as master:
            return Fleet(master).publish(lambda: self._passphrase)

    def digest(self) -> str | None:
        """What every device has to report."""
        with Master(self.folder) as master:
            found = master.ledger.state().digest
            return None if found is None else found.hex()

    def add_devices(self, names: Iterable[str], under: Path) -> list[DevicePlan]:
        """Register devices, each with a state folder of its name."""
        with Master(self.folder) as master:
            state = master.ledger.state()
            bundles = [add_device(self.folder, state, name, Extras()) for name in names]
        return [
            DevicePlan(bundle.name, bundle, under / bundle.name, self._host, self._port)
            for bundle in bundles
        ]

    def _random_templates(self) -> list[StoredTemplate]:
        vectors = self._random.standard_normal((self._templates, DIMENSIONS))
        return [
            StoredTemplate(encode_template(vector / np.linalg.norm(vector))) for vector in vectors
        ]
