"""Everything at once, in any order: at the end every device equals the master.

EDGEFACE_FLEET_EXAMPLES=200 (and EDGEFACE_FLEET_STEPS=60) looks longer than the suite does.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edgeface.base.errors import BrokerError
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.standing import applied_version
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import SigningKey
from tests.support.fleet_device import FleetDevice, Times, memory_site
from tests.support.fleet_site import PASSPHRASE, FleetSite, person_id
from tests.support.memory_broker import MemoryBroker

EXAMPLES = int(os.environ.get("EDGEFACE_FLEET_EXAMPLES", "6"))
STEPS = int(os.environ.get("EDGEFACE_FLEET_STEPS", "30"))
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
HONEST = {"rollback", "wrong_digest", "expired", "unknown_key"}
"""What an honest but lossy broker may lead to; the others would be somebody's doing."""

people = st.integers(0, 9)
device_numbers = st.integers(0, 1)
seeds = st.integers(0, 2**16)


class FleetMachine(RuleBasedStateMachine):
    """One administrator, one broker, two devices, and a network without manners."""

    template: Path
    """A site folder that was made once: deriving keys from passphrases takes time."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgeface-", dir=FOLDER))
        self.broker = MemoryBroker()
        shutil.copytree(self.template, self.folder / "site")
        self.site = FleetSite(
            self.folder / "site", 1883, 1_800_000_000.0, self.broker.administrator
        )
        self.history: dict[Version, dict[str, bytes]] = {}
        self.prepared = False
        self.rotations = 0
        self.devices = [
            FleetDevice(
                self.folder / name,
                self.site,
                self.broker,
                Times(self.site.now_s),
                name=name,
                key=None if name == "door-2" else bytes(32),
            )
            for name in ("door-1", "door-2")
        ]
        self.known = [Version(0, 0)] * 2

    # The administrator.

    @rule(number=people, template=st.integers(0, 50))
    def enroll(self, number: int, template: int) -> None:
        self.site.put({number: [template]})

    @rule(number=people)
    def remove(self, number: int) -> None:
        with Master(self.site.folder) as master:
            if person_id(number) in master.store:
                master.remove([person_id(number)])

    @rule(number=people)
    def expire(self, number: int) -> None:
        with Master(self.site.folder) as master:
            if person_id(number) in master.store:
                master.update([person_id(number)], {"valid_to_s": self.site.now_s - 1})

    @rule()
    def publish(self) -> None:
        self.site.publish()
        self.note()

    @rule(after=st.integers(0, 12), forget=st.booleans())
    def publish_and_crash(self, after: int, forget: bool) -> None:
        self.broker.fail_after, self.broker.forget = after, forget
        try:
            self.site.publish()
        except BrokerError:
            pass
        finally:
            self.broker.fail_after, self.broker.forget = None, False
        self.note()

    @precondition(lambda self: self.history)
    @rule()
    def refresh(self) -> None:
        self.site.refresh()

    @precondition(lambda self: self.history and not self.prepared and self.rotations < 2)
    @rule()
    def prepare_rekey(self) -> None:
        with Ledger(self.site.folder.ledger_file) as ledger:
            if ledger.state().old_keys is not None:
                return
        with self.site.fleet() as fleet:
            fleet.prepare_rekey(lambda: PASSPHRASE)
        self.prepared = True

    @precondition(lambda self: self.prepared)
    @rule(after=st.none() | st.integers(0, 12))
    def rekey(self, after: int | None) -> None:
        self.broker.fail_after = after
        try:
            with self.site.fleet() as fleet:
                fleet.rekey(lambda: PASSPHRASE)
        except BrokerError:
            pass
        finally:
            self.broker.fail_after = None
        with Ledger(self.site.folder.ledger_file) as ledger:
            self.prepared = ledger.state().next_keys is not None
        self.rotations += 1
        self.note()

    @precondition(lambda self: self.rotations and not self.prepared)
    @rule()
    def drop_old_keys(self) -> None:
        with Ledger(self.site.folder.ledger_file) as ledger:
            ready = ledger.state().old_keys is not None and not ledger.outgoing()
        if ready:
            with self.site.fleet() as fleet:
                fleet.drop_old_keys()

    # The network.

    @rule(number=device_numbers)
    def connect(self, number: int) -> None:
        self.devices[number].connect()

    @rule(number=device_numbers)
    def disconnect(self, number: int) -> None:
        self.devices[number].disconnect()

    @rule(number=device_numbers, count=st.integers(1, 40))
    def deliver(self, number: int, count: int) -> None:
        device = self.devices[number]
        for _ in range(count):
            if device.client is not None and device.client.queue:
                device.replica.receive(device.client.queue.popleft())
        device.work()

    @rule(number=device_numbers, seed=seeds, share=st.floats(0, 1))
    def lose(self, number: int, seed: int, share: float) -> None:
        client, chance = self.devices[number].client, random.Random(seed)
        if client is not None:
            kept = [message for message in client.queue if chance.random() >= share]
            client.queue.clear()
            client.queue.extend(kept)

    @rule(number=device_numbers, seed=seeds)
    def shuffle_and_double(self, number: int, seed: int) -> None:
        client, chance = self.devices[number].client, random.Random(seed)
        if client is not None:
            messages = [m for m in client.queue for _ in range(chance.choice((1, 1, 2)))]
            chance.shuffle(messages)
            client.queue.clear()
            client.queue.extend(messages)

    # The devices.

    @rule(number=device_numbers)
    def crash(self, number: int) -> None:
        self.devices[number].crash()

    @rule(number=device_numbers)
    def lose_the_gallery(self, number: int) -> None:
        device = self.devices[number]
        device.disconnect()
        device.store.close()
        for path in device.path.glob("gallery.sqlite*"):
            path.unlink()
        device.start()

    @rule(number=device_numbers)
    def take_new_keys(self, number: int) -> None:
        self.devices[number].provision()
        self.devices[number].crash()

    @rule(number=device_numbers, hours=st.sampled_from((-9e5, -48, -1, 1, 30, 24 * 9, 24 * 500)))
    def jump_the_clock(self, number: int, hours: float) -> None:
        device = self.devices[number]
        device.times.utc_s = max(0.0, device.times.utc_s + hours * 3600)
        device.work()

    @rule(hours=st.sampled_from((1, 20, 24 * 8)))
    def pass_time(self, hours: float) -> None:
        self.site.now_s += hours * 3600
        for device in self.devices:
            device.times.pass_s(hours * 3600)
            device.work()

    # What holds at every moment.

    @invariant()
    def nothing_is_held_that_was_not_published(self) -> None:
        for device in getattr(self, "devices", ()):
            manifest = device.replica.trusted.manifest
            if manifest is None:
                assert device.people() == ()
                continue
            listed = {
                (who, digest)
                for version, entries in self.history.items()
                if version <= manifest.version
                for who, digest in entries.items()
            }
            for who in device.store.ids():
                entry = device.replica.catch_up.tables.entry(who)
                assert entry is not None
                assert (who, entry.digest) in listed
            assert set(device.people()) <= set(device.store.ids())

    @invariant()
    def numbers_never_go_back(self) -> None:
        for number, device in enumerate(getattr(self, "devices", ())):
            floor = device.replica.trusted.floor.version
            assert floor >= self.known[number]
            self.known[number] = floor

    @invariant()
    def nobody_is_recognized_beyond_the_grace_time(self) -> None:
        for device in getattr(self, "devices", ()):
            device.work()
            if device.replica.standing in ("waiting", "expired"):
                assert device.people() == ()

    def note(self) -> None:
        """What has been published so far."""
        with Ledger(self.site.folder.ledger_file) as ledger:
            state = ledger.state()
            if state.manifest is not None:
                self.history[state.version] = {
                    entry.person_id: entry.digest
                    for number in range(256)
                    for entry in ledger.entries(number)
                }

    def teardown(self) -> None:
        if not hasattr(self, "devices"):
            return
        try:
            self.settle_down()
        finally:
            for device in self.devices:
                device.store.close()
            shutil.rmtree(self.folder)

    def settle_down(self) -> None:
        """The network heals, the clocks are set: what was applied and erased is everywhere."""
        self.site.publish()
        self.site.refresh()
        for device in self.devices:
            device.times.utc_s = self.site.now_s
            device.provision()
            device.crash()
            device.connect()
            device.settle()
            device.times.utc_s = self.site.now_s
            device.work()
            reported = device.reported()
            assert device.equals_master(), (reported, device.refusals())
            assert reported.standing == "current", reported
            assert (reported.erased_epoch, reported.erased_revision) == applied_version(reported)
            assert set(device.refusals().values()) <= HONEST


class StrandedMachine(FleetMachine):
    """A device that was not given the new keys refuses, and says why, until it is."""

    def settle_down(self) -> None:
        self.site.publish()
        if not self.prepared:
            self.drop_old_keys()
            with self.site.fleet() as fleet:
                fleet.prepare_rekey(lambda: PASSPHRASE)
        with self.site.fleet() as fleet:
            fleet.rekey(lambda: PASSPHRASE)
        for device in self.devices:
            before, kept = device.people(), device.replica.trusted.manifest
            device.connect()
            device.settle(5)
            if device.refusals().get("manifest") == "unknown_key":
                assert device.replica.trusted.manifest is kept
                assert device.people() == before or device.replica.standing == "expired"
        self.rotations = 3
        super().settle_down()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = memory_site(tmp_path_factory.mktemp("template") / "site", MemoryBroker())
    return site.path


@pytest.mark.parametrize(
    "machine",
    [pytest.param(FleetMachine, id="healed"), pytest.param(StrandedMachine, id="stranded")],
)
def test_every_device_ends_equal_to_the_master(
    machine: type[FleetMachine], template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SigningKey, "load", functools.cache(SigningKey.load))
    monkeypatch.setattr(machine, "template", template, raising=False)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
