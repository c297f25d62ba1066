"""Who may publish and subscribe what: the roles of the contract, as users of a broker.

A user's name is `<role>.<site>.<name>`, for example `device.hq.door-1` or `door.hq.front`; with
client certificates it is their common name. mosquitto's access lists know neither groups nor, in a
pattern, more than one word of a topic (site and device are two), and a pattern counts for every
user, whatever its role. So `acl_file` writes a block for each user: exact topics, no patterns, and
a name without a block may do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from edgeface.base.errors import BadIdError
from edgeface.base.ids import check_id
from edgeface.contract.commands import COMMANDS
from edgeface.contract.topics import PREFIX

RoleName: TypeAlias = Literal["device", "door", "log", "admin", "homeassistant"]
Access: TypeAlias = Literal["read", "write", "readwrite"]

ROLES: Final[tuple[RoleName, ...]] = get_args(RoleName)
MAX_COMMON_NAME: Final = 64
"""Characters of a certificate's common name (X.509, ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a role is for, and its rules: topics under `edgeface/v1/<site>/`, unless they begin
    with `/`. `{site}`, `{name}` and `{user}` stand for the user's own."""

    purpose: str
    rules: tuple[tuple[Access, str], ...]


DETAILS: Final[dict[RoleName, Role]] = {
    "device": Role(
        "a camera's daemon: its own topics, its commands, the gallery of its site",
        (
            ("readwrite", "{name}/status"),
            ("write", "{name}/state"),
            ("write", "{name}/event"),
            ("write", "{name}/event/log"),
            ("write", "{name}/health"),
            ("write", "{name}/alert/+"),
            ("write", "{name}/gallery/reported"),
            ("write", "{name}/rsp/+/+"),
            ("read", "{name}/cmd/+"),
            ("read", "gallery/#"),
            ("write", "/homeassistant/device/{site}-{name}/config"),
            ("read", "/homeassistant/status"),
        ),
    ),
    "door": Role(
        "a door controller: live events, how the devices are, three commands and their answers",
        (
            ("read", "+/event"),
            ("read", "+/status"),
            ("read", "+/state"),
            *(("write", f"+/cmd/{verb}") for verb, item in COMMANDS.items() if item.for_doors),
            ("read", "+/rsp/+/{user}"),
        ),
    ),
    "log": Role("an access log: every event, for knowing", (("read", "+/event/log"),)),
    "admin": Role(
        "an administrator: commands, the gallery, and how the devices are",
        (
            ("write", "+/cmd/+"),
            ("read", "+/rsp/+/{user}"),
            ("readwrite", "gallery/#"),
            ("read", "+/status"),
            ("read", "+/state"),
            ("read", "+/health"),
            ("read", "+/alert/+"),
            ("read", "+/gallery/reported"),
        ),
    ),
    "homeassistant": Role(
        "Home Assistant, where it is used: shows events and health, commands nothing",
        (
            ("readwrite", "/homeassistant/#"),
            ("read", "+/status"),
            ("read", "+/state"),
            ("read", "+/event"),
            ("read", "+/health"),
            ("read", "+/alert/+"),
        ),
    ),
}

_HEADER: Final = """\
# Who may publish and subscribe what. Made by `edgeface certs acl`: make it anew there when a user
# comes or goes, then reload the broker. A user that has no block may do nothing, and what a block
# does not name is forbidden.
"""
_USER: Final = re.compile(r"([a-z]+)\.([^.]*)\.([^.]*)")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the broker. Raises BadIdError for a role, site or name that cannot
    be."""

    role: RoleName
    site: str
    name: str
    """The device's id, or what tells several of a role apart; of the same form."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise BadIdError(f"role {self.role!r}: one of {', '.join(ROLES)}")
        check_id("site", self.site)
        check_id("device" if self.role == "device" else "name", self.name)

    @classmethod
    def parse(cls, text: str) -> User:
        """The user with this name. Raises BadIdError."""
        found = _USER.fullmatch(text)
        role = next((role for role in ROLES if found is not None and found[1] == role), None)
        if found is None or role is None:
            raise BadIdError(f"user {text!r}: not ROLE.SITE.NAME with a role of {', '.join(ROLES)}")
        return cls(role, found[2], found[3])

    def __str__(self) -> str:
        return f"{self.role}.{self.site}.{self.name}"

    def rules(self) -> tuple[tuple[Access, str], ...]:
        """What the user may do: access and topic filter. Whatever is not listed is forbidden."""
        placed = []
        for access, form in DETAILS[self.role].rules:
            topic = form.format(site=self.site, name=self.name, user=self)
            own = topic.removeprefix("/")
            placed.append((access, own if own != topic else f"{PREFIX}/{self.site}/{topic}"))
        return tuple(placed)


def acl_file(users: Iterable[User]) -> str:
    """mosquitto's access list of these users, in the order of the roles and their names."""
    blocks = [_HEADER]
    for user in sorted(set(users), key=lambda user: (ROLES.index(user.role), user.site, user.name)):
        lines = [f"# {DETAILS[user.role].purpose}", f"user {user}"]
        lines += [f"topic {access} {topic}" for access, topic in user.rules()]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
