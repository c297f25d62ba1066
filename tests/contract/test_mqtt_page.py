"""docs/mqtt.md says what the code does, and its example runs."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from edgeface.contract.answers import RETRYABLE, Code, Hint
from edgeface.contract.channels import BASE
from edgeface.contract.command_requests import Verb
from edgeface.contract.documents import whole
from edgeface.contract.event import DropReason, Gap, Outcome, Recognition
from edgeface.contract.report import AlertId
from edgeface.contract.topics import Topics
from edgeface.door import policy
from edgeface.security.keys import SigningKey

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "mqtt.md").read_text(encoding="utf-8")
TOPICS = Topics("hq", "door-1")
PAYLOAD = (DOCS / "examples" / "recognition.recognized.json").read_bytes()


def test_the_table_of_topics_is_that_of_the_code() -> None:
    row = re.compile(r"^\| `(~/[^`]+)` \| (\w+) \| (\d) \| (\w+) \|", re.MULTILINE)
    rows = {topic: columns for topic, *columns in row.findall(PAGE)}
    for channel in whole().channels.values():
        address = channel.address.replace(BASE, "~").replace("{client}", "<client>")
        form = re.sub(r"/(cmd|rsp)/[a-z]+", r"/\1/<verb>", address)
        retained, qos, signed = rows[form]
        assert (retained == "yes", int(qos), signed == "yes") == (
            channel.retained,
            channel.qos,
            channel.signed,
        ), channel.address


def fields_of(kind: type) -> set[str]:
    """Names of the fields, those of nested types too."""
    found = set()
    for name, hint in typing.get_type_hints(kind).items():
        found.add(name)
        for inner in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(inner):
                found |= fields_of(typing.cast(type, inner))
    return found


@pytest.mark.parametrize("kind", [Recognition, Gap])
def test_every_field_of_an_event_is_explained(kind: type) -> None:
    assert {name for name in fields_of(kind) if f"{name}`" not in PAGE} == set()


@pytest.mark.parametrize("names", [Outcome, AlertId, DropReason, Verb, Code, Hint])
def test_every_name_of_the_contract_is_explained(names: Any) -> None:
    assert [name for name in get_args(names) if f"`{name}`" not in PAGE] == []


def test_every_check_of_the_reference_door_is_listed() -> None:
    source = inspect.getsource(policy.DoorPolicy)
    reasons = set(re.findall(r'(?:refuse\(|Verdict\(False, )f?"([a-z_]+)', source))
    assert len(reasons) > 10
    assert [reason for reason in reasons if f"`{reason}`" not in PAGE] == []


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert targets
    for target in targets:
        if target.startswith("#"):
            assert f"\n## {target[1:].replace('-', ' ')}\n" in PAGE.lower()
        else:
            assert (DOCS / target).exists(), target


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def is_authentic(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., bool]:
    """The page's own example, run beside the device's public key."""
    (tmp_path / "door-1.pub").write_bytes(key.public.pem())
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(source, "mqtt.md", "exec"), namespace)
    found: Callable[..., bool] = namespace["is_authentic"]
    return found


def test_the_example_accepts_what_the_device_signed(
    key: SigningKey, is_authentic: Callable[..., bool]
) -> None:
    properties = list(key.properties(TOPICS.event, PAYLOAD))
    assert is_authentic(TOPICS.event, PAYLOAD, properties) is True


def test_the_example_refuses_everything_else(
    key: SigningKey, is_authentic: Callable[..., bool]
) -> None:
    good = list(key.properties(TOPICS.event, PAYLOAD))
    others = list(SigningKey.generate().properties(TOPICS.event, PAYLOAD))
    of_the_log = list(key.properties(TOPICS.event_log, PAYLOAD))
    changed = PAYLOAD.replace(b"p_8c1k3v9q2m", b"p_8c1k3v9q2n")
    assert not is_authentic(TOPICS.event, changed, good)
    assert not is_authentic(TOPICS.event, PAYLOAD + b" ", good)
    for properties in ([], others, of_the_log, good + good, [("sig", "?")], [("sig", "")]):
        assert not is_authentic(TOPICS.event, PAYLOAD, properties)


def test_the_table_of_codes_says_what_may_be_retried() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE))
    assert rows == {code: "yes" if code in RETRYABLE else "no" for code in get_args(Code)}
