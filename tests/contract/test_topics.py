"""Topic names, and the ids in them."""

from __future__ import annotations

import pytest

from edgeface.base.errors import ContractError
from edgeface.contract.topics import Topics


@pytest.mark.parametrize(
    ("site", "device"),
    [("", "d"), ("HQ", "d"), ("a/b", "d"), ("a", "+"), ("a", "gallery"), ("a" * 65, "d")],
)
def test_an_id_that_is_no_part_of_a_topic_is_refused(site: str, device: str) -> None:
    with pytest.raises(ContractError):
        Topics(site, device)


def test_topics_are_as_documented() -> None:
    topics = Topics("hq", "door-1")
    assert topics.event == "edgeface/v1/hq/door-1/event"
    assert topics.event_log == "edgeface/v1/hq/door-1/event/log"
    assert topics.alert("camera_stalled") == "edgeface/v1/hq/door-1/alert/camera_stalled"
    assert topics.response("verify", "door") == "edgeface/v1/hq/door-1/rsp/verify/door"
