"""The topics of contract v1, in one place: `~` is `edgeface/v1/<site>/<device>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgeface.errors import BadIdError

PREFIX: Final = "edgeface/v1"
ID: Final = re.compile(r"[a-z0-9-]{1,64}")
"""Form of site and device ids."""
RESERVED: Final = frozenset({"gallery"})
"""No device may have this id: `<site>/gallery/` holds the central gallery."""


def check_id(kind: str, text: str) -> str:
    """`text` itself; raises BadIdError when it cannot be a site or device id.

    `kind` is `site` or `device`; only devices collide with the reserved names.
    """
    if ID.fullmatch(text) is None:
        raise BadIdError(f"{kind} {text!r}: 1 to 64 of a-z, 0-9 and - are allowed")
    if kind == "device" and text in RESERVED:
        raise BadIdError(f"device {text!r}: this name is reserved")
    return text


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
