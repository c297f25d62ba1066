"""The protocol's own terms: a manifest's number, the types of header fields, a refusal, topics."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeAlias, get_args

from pydantic import Field

from edgeface.base.errors import ContractError
from edgeface.base.ids import ID, check_id, is_person_id
from edgeface.contract.codec import MAX_INT, matching
from edgeface.contract.gallery_report import Reason
from edgeface.contract.topics import PREFIX

MAX_TIME_S: Final = 253_402_300_800
"""Start of the year 10000, beyond which Python's calendar does not go."""

Site: TypeAlias = Annotated[str, matching(ID.pattern, 64)]
Counted: TypeAlias = Annotated[int, Field(ge=1, le=MAX_INT)]
"""An epoch or a revision; the first one is 1."""
Moment: TypeAlias = Annotated[int, Field(ge=0, le=MAX_TIME_S)]
"""UTC epoch seconds."""


class Version(NamedTuple):
    """Compared first by epoch, then by revision."""

    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


NOTHING: Final = Version(0, 0)
"""Before the first manifest."""


class RefusedError(ContractError):
    """Raised when bytes from the broker are refused; `reason` is one of `Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        assert reason in get_args(Reason)


class GalleryTopics:
    """The topics of one site's gallery, `edgeface/v1/<site>/gallery/...`; all retained.
    Raises ContractError for an id that cannot be part of a topic."""

    def __init__(self, site: str) -> None:
        self.site = check_id("site", site)
        self.base = f"{PREFIX}/{site}/gallery"
        """Without a slash at the end."""
        self.manifest = f"{self.base}/manifest"
        self.freshness = f"{self.base}/freshness"
        self.everyone = f"{self.base}/person/+"
        """Filter that matches every person's topic."""
        self.buckets = f"{self.base}/bucket/+"
        """Filter that matches every bucket."""

    def bucket(self, number: int) -> str:
        """Retained; `number` is 0 to 255."""
        return f"{self.base}/bucket/{number:02x}"

    def person(self, person_id: str) -> str:
        """Retained: a record or a tombstone."""
        return f"{self.base}/person/{person_id}"

    def person_of(self, topic: str) -> str | None:
        """The person whose topic this is; None for any other topic."""
        start = f"{self.base}/person/"
        person_id = topic.removeprefix(start)
        return person_id if topic.startswith(start) and is_person_id(person_id) else None

    def bucket_of(self, topic: str) -> int | None:
        """The number of the bucket whose topic this is; None for any other topic."""
        start = f"{self.base}/bucket/"
        text = topic.removeprefix(start)
        if not topic.startswith(start) or len(text) != 2 or set(text) - set("0123456789abcdef"):
            return None
        return int(text, 16)
