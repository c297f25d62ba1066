"""Send what is staged, in order, each stage confirmed before the next; and keep it fresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edgeface.base.errors import GalleryError
from edgeface.base.messages import Publication
from edgeface.fleet.admin.broker import Broker
from edgeface.fleet.admin.ledger import Ledger, Outgoing, SendStage
from edgeface.fleet.admin.site import SiteFolder, key_file, public_file
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import Manifest, encode_freshness, read_manifest
from edgeface.fleet.protocol.terms import NOTHING, GalleryTopics, Version
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import SigningKey, VerifyingKey

HOUR_S: Final = 3600
SKEW_S: Final = 60.0
"""Between two readings of a clock that is being corrected."""


@dataclass
class Published:
    """What `publish`, `refresh` or `rekey` did."""

    finished: bool = False
    """An interrupted publish was finished first."""
    cleared: tuple[str, ...] = ()
    """Removed people whose topics were cleared."""
    messages: Counter[str] = field(default_factory=Counter)
    """What the broker has acknowledged, by stage: `records`, `buckets`, `manifest`, `freshness`,
    `clearing`."""
    payload_bytes: int = 0
    version: Version = NOTHING
    """Where the broker stands now."""


class SitePublisher:
    """Publishes for one site. `now` gives UTC epoch seconds, `synced` whether they can be relied
    on; `connect` opens a `Broker`."""

    def __init__(
        self,
        folder: SiteFolder,
        ledger: Ledger,
        now: Callable[[], float],
        connect: Callable[[ConnectionOptions], Broker],
        synced: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._topics = GalleryTopics(folder.site)
        self._now = now
        self._connect = connect
        self._synced = synced

    def ahead(self) -> bool:
        """Whether the manifest that waits to be sent was made beyond this machine's synchronized
        clock: when it was wrong."""
        if not self._ledger.outgoing(SendStage.MANIFEST) or not self._synced():
            return False
        manifest = self.manifest()
        return manifest is not None and manifest.header.issued > self._now() + SKEW_S

    def check(self, *, lost: bool = False) -> None:
        """Connect and look whether the broker's manifest is one that ours may replace.

        `lost` also takes a broker that has none, though we have published. Raises BrokerError (not
        reachable) or GalleryError (another manifest).
        """
        with self._connect(self._folder.connection()) as broker:
            self._check(broker, lost=lost)

    def send(self, done: Published, *, lost: bool = False) -> None:
        """Send all that is outgoing, after `check`, and note it in `done`.

        Raises as `check`, also when somebody else's manifest appears before ours is sent, and
        BrokerError when the broker refuses or is gone. The next call goes on where this one ended.
        """
        if self.ahead():
            raise GalleryError(
                "the manifest that waits to be sent was made when this machine's clock was wrong: "
                "it is issued in the future; `edgeface fleet publish` makes it anew"
            )
        with self._connect(self._folder.connection()) as broker:
            self._check(broker, lost=lost)
            for stage in SendStage:
                if stage is SendStage.MANIFEST:
                    self._check(broker, lost=lost, known=True)
                self._send_stage(broker, stage, done)
        done.version = self._ledger.state().floor.version

    def manifest(self) -> Manifest | None:
        """The newest manifest made, read back as a device would."""
        state = self._ledger.state()
        if state.manifest is None:
            return None
        ring = KeyRing([VerifyingKey.load(public_file(self._folder.keys, state.keys.signing))], [])
        return read_manifest(state.manifest, ring, site=self._folder.site)

    def _check(self, broker: Broker, *, lost: bool, known: bool = False) -> None:
        """Raise GalleryError unless the broker's manifest is the one that ours grew from, or ours
        itself. `known`: the one that came last, without asking again."""
        topic = self._topics.manifest
        found = broker.known(topic) if known else broker.fetch(topic)
        state = self._ledger.state()
        published = state.floor.version
        again = "send everything again with `edgeface fleet publish --all`"
        if found is None:
            if state.floor.digest is None or lost:
                return
            raise GalleryError(
                f"the broker has no manifest, but {published} was published; if it has lost its "
                f"retained messages, {again}"
            )
        digest = digest_of(found)
        waiting = bool(self._ledger.outgoing(SendStage.MANIFEST))
        if digest == state.digest or (waiting and digest == state.base):
            return
        ours = self._ledger.version_of(digest)
        if ours is None:
            raise GalleryError(
                f"the manifest on the broker ({digest.hex()[:16]}...) is not the one that this "
                f"folder published last ({published}): somebody else publishes for this site, or "
                "this folder is an old copy; nothing was sent"
            )
        if not lost:
            raise GalleryError(
                f"the broker has the manifest {ours}, but {published} was published; if it was "
                f"restored from a copy, {again}"
            )

    def _send_stage(self, broker: Broker, stage: SendStage, done: Published) -> None:
        items = self._ledger.outgoing(stage)
        if not items:
            return
        sizes: dict[Outgoing, int] = {}

        def publications() -> Iterator[tuple[Outgoing, Publication]]:
            for item in items:
                if item.kind == "freshness":
                    payload = self._freshness()
                else:
                    payload = self._ledger.payload(item)
                sizes[item] = len(payload)
                yield item, Publication(self._topic(item), payload, qos=1, retain=True)

        def acknowledged(group: list[Outgoing]) -> None:
            floor = None
            if stage is SendStage.MANIFEST:
                manifest = self.manifest()
                assert manifest is not None
                floor = self._ledger.state().floor.after(manifest)
            self._ledger.acknowledged(group, floor)
            done.messages[stage.name.lower()] += len(group)
            done.payload_bytes += sum(sizes.pop(item) for item in group)

        broker.send_all(publications(), acknowledged)

    def _freshness(self) -> bytes:
        manifest = self.manifest()
        assert manifest is not None
        key = key_file(self._folder.keys, "freshness", self._ledger.state().keys.freshness)
        issued_s = int(self._now())
        expires_s = issued_s + self._folder.settings.freshness_hours * HOUR_S
        # Before it is sent: the bound on what a freeze can do must never be told too early.
        self._ledger.note_freshness(manifest.version, manifest.digest, expires_s)
        return encode_freshness(
            manifest, issued_s=issued_s, expires_s=expires_s, signer=SigningKey.load(key)
        )

    def _topic(self, item: Outgoing) -> str:
        match item.kind:
            case "person":
                return self._topics.person(item.name)
            case "bucket":
                return self._topics.bucket(int(item.name))
            case "manifest":
                return self._topics.manifest
            case _:
                return self._topics.freshness
