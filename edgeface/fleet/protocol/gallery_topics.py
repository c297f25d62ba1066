"""The topics of a site's central gallery: `edgeface/v1/<site>/gallery/...`."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.base.ids import check_id, is_person_id
from edgeface.contract.topics import PREFIX


@dataclass(frozen=True, slots=True)
class GalleryTopics:
    """Of one site. Raises ContractError for an id that cannot be part of a topic."""

    site: str

    def __post_init__(self) -> None:
        check_id("site", self.site)

    @property
    def base(self) -> str:
        """Without a slash at the end."""
        return f"{PREFIX}/{self.site}/gallery"

    @property
    def manifest(self) -> str:
        """Retained."""
        return f"{self.base}/manifest"

    @property
    def freshness(self) -> str:
        """Retained."""
        return f"{self.base}/freshness"

    def bucket(self, number: int) -> str:
        """Retained; `number` is 0 to 255."""
        return f"{self.base}/bucket/{number:02x}"

    def person(self, person_id: str) -> str:
        """Retained: a record or a tombstone."""
        return f"{self.base}/person/{person_id}"

    @property
    def everyone(self) -> str:
        """Filter that matches every person's topic."""
        return f"{self.base}/person/+"

    @property
    def buckets(self) -> str:
        """Filter that matches every bucket."""
        return f"{self.base}/bucket/+"

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
