"""The topics of contract v1, in one place: `~` is `edgeface/v1/<site>/<device>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgeface.base.ids import check_id

PREFIX: Final = "edgeface/v1"
CLIENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,150}")
"""The last word of a response topic: the caller's user name at the broker, or a name it chose."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one device. Raises BadIdError for ids that cannot be part of a topic."""

    site: str
    device: str

    def __post_init__(self) -> None:
        check_id("site", self.site)
        check_id("device", self.device)

    @property
    def base(self) -> str:
        """`~`."""
        return f"{PREFIX}/{self.site}/{self.device}"

    @property
    def status(self) -> str:
        """Retained: online, offline (the will) or stopped."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """Retained: lifecycle and what the device works with."""
        return f"{self.base}/state"

    @property
    def event(self) -> str:
        """Never retained: live decisions, for acting."""
        return f"{self.base}/event"

    @property
    def event_log(self) -> str:
        """Never retained: every event at least once, for knowing."""
        return f"{self.base}/event/log"

    @property
    def health(self) -> str:
        """Not retained: periodic counters."""
        return f"{self.base}/health"

    @property
    def gallery_reported(self) -> str:
        """Retained: what of the central gallery has been applied."""
        return f"{self.base}/gallery/reported"

    @property
    def commands(self) -> str:
        """Filter that matches every command to this device."""
        return f"{self.base}/cmd/+"

    def alert(self, alert: str) -> str:
        """Retained while the alert stands."""
        return f"{self.base}/alert/{alert}"

    def command(self, verb: str) -> str:
        """Never retained: a request to the device."""
        return f"{self.base}/cmd/{verb}"

    def response(self, verb: str, client: str) -> str:
        """The one legal response topic of a request by `client`."""
        return f"{self.base}/rsp/{verb}/{client}"
