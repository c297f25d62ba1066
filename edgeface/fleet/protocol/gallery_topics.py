"""The topics of a site's central gallery: `edgeface/v1/<site>/gallery/...`."""

from __future__ import annotations

from edgeface.base.ids import check_id, is_person_id
from edgeface.contract.topics import PREFIX


class GalleryTopics:
    """Of one site; all retained. Raises ContractError for an id that cannot be part of a topic."""

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
