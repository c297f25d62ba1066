"""What a check finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edgeface.base.errors import EdgefaceError
from edgeface.settings.models import ModelsSettings
from edgeface.settings.tree import Settings

Verdict: TypeAlias = Literal["ok", "warn", "fail", "not_tried"]
_BY_WEIGHT: Final[tuple[Verdict, ...]] = ("not_tried", "ok", "warn", "fail")


class NotTriedError(EdgefaceError, LookupError):
    """Raised by a check that cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    verdict: Verdict
    detail: str
    """What was seen, or why nothing could be; may have several lines."""
    cure: str = ""
    """What to do; empty where nothing has to be done."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A machine and its configuration."""

    settings: Settings | None
    """None: there is no configuration that can be used."""
    config: Path | None = None
    """The configuration's file."""
    root: Path = Path("/")
    """Where `proc`, `sys`, `dev` and `var` lie."""
    left_out: frozenset[str] = frozenset()
    """Checks that are not to be made, nor what they would touch."""

    @property
    def configured(self) -> Settings:
        """The settings. Raises NotTriedError where there are none."""
        if self.settings is None:
            raise NotTriedError("there is no configuration that says what to try")
        return self.settings

    @property
    def models(self) -> ModelsSettings:
        """Those configured, or the defaults."""
        return ModelsSettings() if self.settings is None else self.settings.models

    @property
    def state_dir(self) -> Path:
        """That configured, or the default."""
        if self.settings is not None:
            return self.settings.state_dir
        default: Path = Settings.model_fields["state_dir"].default
        return self.root / default.relative_to("/")

    @property
    def state_place(self) -> Path:
        """The state folder, or the nearest folder above it that is there."""
        folder = self.state_dir
        return next(path for path in (folder, *folder.parents) if path.exists())


Look: TypeAlias = Callable[[Patient], Finding]
"""A check. It may raise an EdgefaceError or OSError, whose words are what is wrong."""


def failed(text: str) -> Finding:
    """Of an error that names the way out behind its last semicolon, where it has one."""
    said, _, cure = text.rpartition("; ")
    return Finding("fail", said, cure) if said else Finding("fail", text)


def together(findings: Sequence[Finding]) -> Finding:
    """Several as one, at least one: the worst verdict, and what each says, the worst first."""
    ranked = sorted(findings, key=lambda found: -_BY_WEIGHT.index(found.verdict))
    cures = dict.fromkeys(found.cure for found in ranked if found.cure)
    detail = "\n".join(found.detail for found in ranked)
    return Finding(ranked[0].verdict, detail, "\n".join(cures))


def text_of(path: Path) -> str | None:
    """The one line of a file of the kernel's, stripped; None where there is none to read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def number_of(path: Path) -> int | None:
    """The number in a file of the kernel's, decimal or 0x...; None where there is none."""
    try:
        return int(text_of(path) or "", 0)
    except ValueError:
        return None
