"""Ids of sites, devices, people and events."""

from __future__ import annotations

import uuid

import pytest

from edgeface.base.errors import BadIdError, GalleryError
from edgeface.base.ids import (
    ALPHABET,
    check_id,
    check_person_id,
    is_person_id,
    new_person_id,
    uuid7,
)


@pytest.mark.parametrize("text", ["a", "-", "hq", "door-1", "0" * 64])
def test_a_site_or_device_id_is_returned(text: str) -> None:
    assert check_id("site", text) == check_id("device", text) == text


@pytest.mark.parametrize("text", ["", "a" * 65, "HQ", "a/b", "+", "#", "a b", "a_b", "hq\n", "é"])
@pytest.mark.parametrize("kind", ["site", "device"])
def test_an_id_of_another_form_is_refused(kind: str, text: str) -> None:
    with pytest.raises(BadIdError) as told:
        check_id(kind, text)
    assert str(told.value) == f"{kind} {text!r}: 1 to 64 of a-z, 0-9 and - are allowed"
    assert (told.value.reason, told.value.exit_code) == ("bad_id", 2)


def test_no_device_has_the_name_of_the_central_gallery() -> None:
    assert check_id("site", "gallery") == "gallery"
    with pytest.raises(BadIdError, match="device 'gallery': this name is reserved"):
        check_id("device", "gallery")


def test_person_ids_are_fifty_random_bits_in_a_safe_alphabet() -> None:
    ids = {new_person_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_person_id(person_id) for person_id in ids)
    assert set("".join(person_id[2:] for person_id in ids)) == set(ALPHABET)
    assert is_person_id("p_8c1k3v9q2m")


def test_a_taken_id_is_not_given_again() -> None:
    refused: list[str] = []

    def taken(person_id: str) -> bool:
        refused.append(person_id)
        return len(refused) < 3

    assert new_person_id(taken) == refused[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p_",
        "p_8c1k3v9q2",
        "p_8c1k3v9q2mm",
        "P_8c1k3v9q2m",
        "p_8c1k3v9q2l",
        "p_8c1k3v9q2m\n",
        "p_8C1K3V9Q2M",
    ],
)
def test_other_texts_are_no_person_ids(text: str) -> None:
    with pytest.raises(GalleryError, match="no person id"):
        check_person_id(text)


def test_event_ids_are_version_7_and_sort_by_time() -> None:
    early, late = uuid7(1_800_000_000_000_000_000), uuid7(1_800_000_000_001_000_000)
    assert early < late
    assert uuid.UUID(early).version == 7
    assert uuid.UUID(early).variant == uuid.RFC_4122
    assert uuid.UUID(early).int >> 80 == 1_800_000_000_000
    assert len({uuid7(0) for _ in range(100)}) == 100
