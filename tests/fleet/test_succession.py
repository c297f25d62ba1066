"""What may follow a manifest, and how long it counts as fresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgeface.fleet.protocol.floor import Floor
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import (
    check_not_expired,
    encode_freshness,
    read_freshness,
    read_manifest,
)
from edgeface.fleet.protocol.terms import RefusedError, Version
from tests.support.gallery_vectors import (
    ADMINISTRATOR,
    FRESHNESS,
    ISSUED_S,
    RING,
    SITE,
    STRANGER,
    manifest,
)


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value.reason


class TestFloor:
    FIRST = read_manifest(manifest({}, Version(1, 2)), RING, site=SITE)
    OTHER = read_manifest(manifest({}, Version(1, 2), count=3), RING, site=SITE)
    OLDER = read_manifest(manifest({}, Version(1, 1)), RING, site=SITE)
    NEWER = read_manifest(manifest({}, Version(1, 3)), RING, site=SITE)
    BOTH = KeyRing([ADMINISTRATOR.public, STRANGER.public], [])
    RAISED = read_manifest(manifest({}, Version(2, 1)), RING, site=SITE)
    REKEYED = read_manifest(manifest({}, Version(2, 1), signer=STRANGER), BOTH, site=SITE)
    BACK = read_manifest(manifest({}, Version(3, 1)), RING, site=SITE)
    CHANGED = read_manifest(manifest({}, Version(1, 3), signer=STRANGER), BOTH, site=SITE)

    def test_a_fresh_device_takes_any_pinned_manifest(self) -> None:
        assert Floor().admit(self.FIRST)

    def test_only_a_newer_one_is_new(self) -> None:
        floor = Floor().after(self.FIRST)
        assert floor.admit(self.NEWER)
        assert not floor.admit(self.FIRST)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("OLDER", "rollback"),
            ("OTHER", "equivocation"),
            ("RAISED", "unknown_key"),
            ("CHANGED", "unknown_key"),
        ],
    )
    def test_what_may_not_follow_is_refused(self, name: str, reason: str) -> None:
        floor = Floor().after(self.FIRST)
        assert reason_of(lambda: floor.admit(getattr(self, name))) == reason

    def test_another_key_raises_the_epoch_and_retires_the_one_before(self) -> None:
        floor = Floor().after(self.FIRST)
        assert floor.admit(self.REKEYED)
        floor = floor.after(self.REKEYED)
        assert floor.retired == (ADMINISTRATOR.kid,)
        assert reason_of(lambda: floor.admit(self.BACK)) == "unknown_key"

    def test_it_is_kept_in_a_file(self, tmp_path: Any) -> None:
        floor = Floor().after(self.FIRST).after(self.REKEYED)
        path = tmp_path / "floor.json"
        path.write_bytes(floor.to_json())
        assert Floor.load(path) == floor
        path.write_bytes(b"{")
        with pytest.raises(OSError, match=r"floor\.json"):
            Floor.load(path)


class TestFreshness:
    FOUND = read_manifest(manifest({}, Version(1, 2)), RING, site=SITE)
    NEWER = read_manifest(manifest({}, Version(1, 3)), RING, site=SITE)
    OTHER = read_manifest(manifest({}, Version(1, 2), count=3), RING, site=SITE)

    def make(self, of: Any, **other: Any) -> bytes:
        times = {"issued_s": ISSUED_S, "expires_s": ISSUED_S + 60, "signer": FRESHNESS}
        return encode_freshness(of, **times | other)

    def test_it_is_of_exactly_one_manifest(self) -> None:
        assert read_freshness(self.make(self.NEWER), self.FOUND) is None
        assert reason_of(lambda: read_freshness(self.make(self.FOUND), self.NEWER)) == "rollback"
        assert (
            reason_of(lambda: read_freshness(self.make(self.OTHER), self.FOUND)) == "equivocation"
        )

    def test_the_administrators_key_does_not_sign_it_either(self) -> None:
        wire = self.make(self.FOUND, signer=ADMINISTRATOR)
        assert reason_of(lambda: read_freshness(wire, self.FOUND)) == "unknown_key"

    def test_it_ends_with_its_own_time_or_the_manifests(self) -> None:
        assert read_freshness(self.make(self.FOUND), self.FOUND) == ISSUED_S + 60
        check_not_expired("freshness", self.FOUND.version, ISSUED_S + 60, ISSUED_S + 59)
        with pytest.raises(RefusedError, match=r"^freshness 1\.2 expired 0 s ago$"):
            check_not_expired("freshness", self.FOUND.version, ISSUED_S + 60, ISSUED_S + 60)
        end = self.FOUND.header.expires
        late = self.make(self.FOUND, issued_s=end - 5, expires_s=end + 60)
        assert read_freshness(late, self.FOUND) == end
        with pytest.raises(RefusedError, match=r"^manifest 1\.2 expired 0 s ago$"):
            check_not_expired("manifest", self.FOUND.version, end, end)
