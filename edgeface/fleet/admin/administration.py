"""What an administrator does with a fleet: publish, refresh, rekey, look. The verbs call this."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from edgeface.base.clock import Clock
from edgeface.base.errors import GalleryError
from edgeface.fleet.admin.broker import Broker
from edgeface.fleet.admin.devices import registered, write_fleet_folder
from edgeface.fleet.admin.master import Draft, Master
from edgeface.fleet.admin.publishing import Published, SitePublisher
from edgeface.fleet.admin.site import DAY_S, KeySet, drop_keys, make_keys
from edgeface.fleet.admin.staging import load_publishing_keys, stage, stage_rekey
from edgeface.fleet.admin.standing import DeviceStanding, judge, note_receipts, read_standings
from edgeface.mqtt.options import ConnectionOptions

Connect = Callable[[ConnectionOptions], Broker]
Passphrase = Callable[[], bytes]
"""Asks for the administrator's passphrase; called only when a signature is needed."""

RENEW_SHARE: Final = 0.5
"""`publish` makes a new manifest, also without changes, when less of its life is left."""


class Fleet:
    """One site's administration. Used by one thread."""

    def __init__(
        self,
        master: Master,
        *,
        now: Callable[[], float] = time.time,
        synced: Callable[[], bool] | None = None,
        connect: Connect = Broker,
    ) -> None:
        self.master = master
        self._ledger = master.ledger
        self._folder = master.folder
        self._now = now
        self._connect = connect
        self._publisher = SitePublisher(
            self._folder, self._ledger, now, connect, synced or Clock().synced
        )

    def rehearse(self, *, everything: bool = False) -> Draft:
        """What `publish` would do, after it has looked whether it may; nothing is sent or made.

        Raises as `publish`.
        """
        self._publisher.check(lost=everything)
        return self.master.draft()

    def publish(self, passphrase: Passphrase, *, everything: bool = False) -> Published:
        """Finish what was interrupted, make the next manifest, send it.

        `everything` sends every record, bucket and manifest again, for a broker that lost them.
        Raises GalleryError (somebody else's manifest, wrong passphrase, what cannot be published),
        BrokerError (the next call goes on), StateError.
        """
        ahead = self._publisher.ahead()
        finished = not ahead and self._finish(everything=everything)
        draft = self.master.draft()
        if ahead or draft.changes or self._is_due():
            keys = self._ledger.state().keys
            publishing = load_publishing_keys(self._folder.keys, keys, passphrase())
            stage(self.master, draft, publishing, int(self._now()))
        return self._send(finished, everything=everything)

    def check_passphrase(self, given: bytes) -> None:
        """Raise NamedFileError where it does not open the keys in use: told before the day on which
        a signature is needed."""
        load_publishing_keys(self._folder.keys, self._ledger.state().keys, given)

    def refresh(self) -> Published:
        """Send a new freshness message; for a timer, without passphrase.

        Also finishes an interrupted publish, and clears topics of people whose erasure is
        confirmed. Raises as `publish`, and GalleryError when nothing was ever published.
        """
        if self._ledger.state().manifest is None:
            raise GalleryError("nothing has been published yet, so there is nothing to refresh")
        finished = self._finish()
        self._ledger.stage_freshness()
        return self._send(finished)

    def prepare_rekey(self, passphrase: Passphrase) -> KeySet:
        """Make the next keys, and write them into every device's bundle beside those in use.

        The old keys go on working until `rekey`. Raises GalleryError when that is done already.
        """
        state = self._ledger.state()
        if state.next_keys is not None:
            raise GalleryError(
                "new keys are prepared already; copy the bundles' state/fleet to the devices and "
                "reload them, then run `edgeface fleet rekey`"
            )
        if state.old_keys is not None:
            raise GalleryError(
                "the last rekey is not over: run `edgeface fleet rekey --drop-old` first"
            )
        keys = make_keys(self._folder.keys, passphrase())
        self._ledger.set_next_keys(keys)
        self._write_bundles(self._ledger.state().all_keys)
        return keys

    def rekey(self, passphrase: Passphrase) -> Published:
        """Publish everybody anew under the prepared keys, with a higher epoch.

        `passphrase` opens the prepared key. Raises as `publish`, and GalleryError when no keys are
        prepared.
        """
        keys = self._ledger.state().next_keys
        if keys is None and self._ledger.outgoing():
            raise GalleryError(
                "a publish or rekey was interrupted: `edgeface fleet publish` finishes it"
            )
        if keys is None:
            raise GalleryError("no new keys are prepared: `edgeface fleet rekey --prepare` first")
        publishing = load_publishing_keys(self._folder.keys, keys, passphrase())
        finished = self._finish()
        stage_rekey(self.master, publishing, keys, int(self._now()))
        return self._send(finished)

    def drop_old_keys(self) -> KeySet:
        """Delete the keys before the last rekey, here and in the bundles.

        Raises GalleryError when there are none, or the rekey has not been sent to its end.
        """
        state = self._ledger.state()
        old = state.old_keys
        if old is None:
            raise GalleryError("there are no old keys")
        if self._ledger.outgoing():
            raise GalleryError("the rekey is not finished: run `edgeface fleet publish` first")
        self._write_bundles([keys for keys in state.all_keys if keys != old])
        drop_keys(self._folder.keys, old)
        self._ledger.forget_old_keys()
        return old

    def _write_bundles(self, keys: Sequence[KeySet]) -> None:
        """Bring the keys and the floor in every device's bundle up to date."""
        state = self._ledger.state()
        for device in registered(self._folder):
            write_fleet_folder(self._folder, state, device, keys)

    def status(self) -> tuple[DeviceStanding, ...]:
        """Every registered device, compared with what was published; receipts are written down.

        Raises BrokerError or StateError.
        """
        devices = registered(self._folder)
        with self._connect(self._folder.connection()) as broker:
            standings = read_standings(broker, self._folder.site, devices)
        note_receipts(self._ledger, standings)
        tombstones = self._ledger.tombstones()
        grace_days = self._folder.settings.grace_days
        return tuple(
            judge(self._ledger, standing, tombstones, grace_days) for standing in standings.values()
        )

    def unprepared(self) -> tuple[str, ...]:
        """Registered devices that have not said that they have the prepared keys; none when no keys
        are. Raises BrokerError or StateError."""
        if self._ledger.state().next_keys is None:
            return ()
        return tuple(item.device for item in self.status() if not item.prepared)

    def manifest_expires_s(self) -> int | None:
        """UTC epoch seconds at which the newest manifest ends; None before the first publish."""
        manifest = self._publisher.manifest()
        return None if manifest is None else manifest.header.expires

    def _finish(self, *, everything: bool = False) -> bool:
        """Whether a publish that was interrupted is finished now; raises as `publish`."""
        self._publisher.check(lost=everything)
        interrupted = bool(self._ledger.outgoing())
        if interrupted:
            self._publisher.send(Published(), lost=everything)
        return interrupted

    def _send(self, finished: bool, *, everything: bool = False) -> Published:
        if everything:
            self._ledger.send_again()
        done = Published(finished)
        self._publisher.send(done, lost=everything)
        # Afterwards: asking the devices takes a second, in which nobody should have to wait.
        done.cleared = self._clear_tombstones()
        if done.cleared:
            self._publisher.send(done)
        return done

    def _is_due(self) -> bool:
        manifest = self._publisher.manifest()
        if manifest is None:
            return True
        life_s = self._folder.settings.manifest_days * DAY_S
        left_s = manifest.header.expires - self._now()
        return not RENEW_SHARE * life_s <= left_s <= life_s + DAY_S  # later: a clock was wrong

    def _clear_tombstones(self) -> tuple[str, ...]:
        """Stage the clearing of topics whose people every registered device has confirmed as
        erased, or that have been kept long enough."""
        rows = self._ledger.tombstones()
        if not rows:
            return ()
        devices = frozenset(registered(self._folder))
        self.status()
        kept_s = self._folder.settings.tombstone_days * DAY_S
        done = tuple(
            row.person_id
            for row in self._ledger.tombstones()
            if (devices and devices <= row.confirmed) or self._now() - row.removed_s >= kept_s
        )
        self._ledger.clear_tombstones(done)
        return done
