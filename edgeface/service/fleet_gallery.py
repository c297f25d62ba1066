"""The gallery worker of a device in a fleet: follows the broker and swaps the index."""

from __future__ import annotations

import logging
from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.base.clock import NS
from edgeface.base.counting import people
from edgeface.base.errors import GalleryError, StateError
from edgeface.fleet.device.replica import Replica, ReplicaClock
from edgeface.fleet.device.subscriber import OwnReport, Subscriber
from edgeface.fleet.device.trusted import Provision, load_provision
from edgeface.fleet.protocol.terms import Version
from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.opening import given_up, open_or_replace
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.sharing import SharedConnection
from edgeface.service.board import Board, NextEmbedder, SyncLag
from edgeface.service.checked_models import next_space
from edgeface.service.local_gallery import LOAD_S, Forget
from edgeface.service.supervisor import fatal
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.tree import Settings

FLOOR_NAME: Final = "fleet-floor.json"
"""In the state folder: the newest manifest known, which nothing older may replace."""
DAY_S: Final = 86_400.0

_log = logging.getLogger(__name__)


class FleetGallery:
    """`run` is the worker's function."""

    def __init__(
        self,
        board: Board,
        me: DeviceSession,
        floor: TimeFloor,
        connection: SharedConnection,
        forget: Forget = lambda *_: None,
    ) -> None:
        self._forget = forget
        self._board = board
        self._me = me
        self._floor = floor
        self._connection = connection
        self._looked_up: Settings | None = None
        self._next_space: str | None = None
        """Of the embedder that waits in the settings that were looked up."""
        self._offered: Version | None = None
        self._provision: Provision | None = None
        """What was taken of the board."""

    def run(self, pulse: Pulse) -> None:
        """Open the gallery once the models are known, then follow until told to stop.

        Keys, floor or a gallery that cannot be used the first time end the process (FatalError). A
        gallery that turns out damaged later ends the run; the next one fetches it anew.
        """
        facts = pulse.until(lambda: self._board.models)
        if facts is None:
            return
        settings, first = self._board.settings, self._board.gallery is None
        with fatal(GalleryError, StateError, when=first), pulse.patience(LOAD_S):
            self._provision = self._board.by_main.provision
            provision = provision_of(settings)
            store = open_or_replace(settings)
        try:
            with store:
                with fatal(StateError, when=first), pulse.patience(LOAD_S):
                    replica = Replica(
                        settings.site,
                        store,
                        provision,
                        space=(facts.space, facts.dimensions),
                        grace_s=settings.gallery.grace_days * DAY_S,
                        clock=ReplicaClock(
                            self._floor.now_s, self._floor.raise_to, synced_s=self._floor.synced_s
                        ),
                    )
                self._take(replica, pulse)
                self._subscriber(replica, pulse).run(pulse.stop)
        except GalleryCorruptError as error:  # also what the check at the opening does not find
            raise given_up(settings, error) from error

    def _subscriber(self, replica: Replica, pulse: Pulse) -> Subscriber:
        return Subscriber(
            lambda: self._connection,
            replica,
            OwnReport(replica, self._me.topics, self._me.key, self._me.session),
            utc_s=lambda: self._me.clock.utc_ns() / NS,
            each=lambda: self._take(replica, pulse),
            # The publisher minds the broker; its connection is only waited for here.
            backoff=Backoff(cap_s=1.0),
        )

    def _take(self, replica: Replica, pulse: Pulse) -> None:
        """Tell the others what there is now."""
        board = self._board
        facts = board.models
        if facts is not None:
            replica.catch_up.served.use_space(facts.space, facts.dimensions)
        self._take_provision(replica)
        before, index = board.gallery, replica.index
        board.by_gallery.index = index
        applied = replica.catch_up.applied.digest
        board.by_gallery.digest = None if applied is None else applied.hex()
        # Before the next report, which has the receipts of those erased.
        catch_up = replica.catch_up
        self._forget(catch_up.gone, (catch_up.batches, replica.trusted.listed.missing))
        board.by_gallery.trouble = replica.trouble
        board.by_gallery.lag = self._lag(replica)
        others = replica.without(index.space)
        board.by_gallery.model_trouble = (
            f"{people(others)} of the fleet's gallery cannot be recognized, without templates of "
            "this device's model; `edgeface fleet spaces` names them"
            if others
            else None
        )
        if before is None or before.revision != index.revision:
            _log.info(
                "gallery %s",
                "loaded" if before is None else "changed",
                extra={
                    "epoch": index.epoch,
                    "revision": index.revision,
                    "people": len(index.people),
                    "templates": len(index.matrix),
                },
            )
        self._offer_next(replica)
        self._floor.persist()
        board.by_gallery.time_trouble = self._floor.trouble
        pulse.beat()

    def _lag(self, replica: Replica) -> SyncLag | None:
        trusted, before = replica.trusted, self._board.by_gallery.lag
        if trusted.manifest is None:
            return None
        since_ns = None if before is None else before.behind_since_ns
        if replica.catch_up.applied.digest == trusted.manifest.digest:
            since_ns = None
        elif since_ns is None:
            since_ns = self._me.clock.monotonic_ns()
        return SyncLag(
            trusted.version.revision, trusted.listed.missing, since_ns, trusted.fresh_until_s
        )

    def _take_provision(self, replica: Replica) -> None:
        """Keys and floor that were read again by a reload."""
        provision = self._board.by_main.provision
        if provision is None or provision is self._provision:
            return
        self._provision = provision
        if replica.use_provision(provision):
            _log.info(
                "the fleet's keys were taken anew",
                extra={
                    "administrators": sorted(provision.ring.administrators),
                    "encryption_keys": sorted(provision.ring.ciphers),
                    "floor": str(provision.floor.version),
                },
            )

    def _offer_next(self, replica: Replica) -> None:
        """Say, once for each manifest and configuration, that the next embedder can be taken into
        use."""
        settings = self._board.settings
        if settings is not self._looked_up:
            self._looked_up, self._offered = settings, None
            self._next_space = next_space(settings)
        space, facts, manifest = self._next_space, self._board.models, replica.trusted.manifest
        if space is None or facts is None or manifest is None or facts.space == space:
            return
        covered = replica.standing == "current" and replica.covered_by(space)
        if covered and self._offered != manifest.version:
            self._offered = manifest.version
            self._board.by_gallery.offer = NextEmbedder(space)


def provision_of(settings: Settings) -> Provision:
    """Keys and floor as the files are now. Raises StateError or GalleryError."""
    return load_provision(settings.fleet_folder, settings.state_dir / FLOOR_NAME)
