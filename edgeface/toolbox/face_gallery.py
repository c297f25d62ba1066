"""A gallery to look people up in: the daemon's, or a folder of photographs."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import GalleryError, GalleryLookupError, NamedFileError, StateError
from edgeface.gallery.enrollment import Wish, enroll
from edgeface.gallery.gate import Gate, Portrait, Refused, open_gate
from edgeface.gallery.likeness import bar_for
from edgeface.gallery.opening import NO_GALLERY, build_index, gallery_key
from edgeface.gallery.person import plain_text
from edgeface.gallery.photo_enrollment import people_in, photos_in
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import ModelPackage, load_package
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.index import GalleryIndex
from edgeface.service.checked_models import in_use
from edgeface.service.recognizing import rules_of
from edgeface.settings.loading import load_settings
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import DecisionSettings, DetectionSettings, QualitySettings

_KEY_BYTES = 32


class EnrollingModels(Protocol):
    """What a folder is enrolled with; `Engine` is one."""

    @property
    def enrollment_gate(self) -> Gate:
        """Examines photographs."""

    @property
    def package(self) -> ModelPackage:
        """The embedder's."""


class FaceGallery:
    """People and their templates, and the rules by which somebody is named. No picture is kept."""

    def __init__(
        self,
        index: GalleryIndex,
        rules: DecisionRules,
        verify_fmr: float,
        problems: tuple[str, ...] = (),
    ) -> None:
        """`rules` are the daemon's."""
        self.index = index
        self.rules = replace(rules, min_agreeing=1)
        """For one picture instead of the frames of a walk."""
        self.verify_fmr = verify_fmr
        self.problems = problems
        """What was left out and why, one clause each."""

    @classmethod
    def open(cls, config: str | os.PathLike[str]) -> Self:
        """The gallery of a daemon's configuration file, as it is now; it is only read.

        Raises SettingsError or ModelError, and GalleryLookupError when there is no gallery or it
        cannot be read.
        """
        settings = in_use(load_settings(Path(config)))
        space = load_package(settings.models.embedder).space_id
        if not settings.gallery_file.exists():
            raise GalleryLookupError(f"{settings.gallery_file}: {NO_GALLERY}")
        try:
            with GalleryStore(settings.gallery_file, gallery_key(settings)) as store:
                index, damaged = store.load(space)
        except (GalleryError, StateError) as error:
            raise GalleryLookupError(str(error)) from error
        problems = tuple(f"{person_id}: the stored data are damaged" for person_id in damaged)
        return cls(index, rules_of(settings).decision, settings.decision.verify_fmr, problems)

    @classmethod
    def from_folder(
        cls, path: str | os.PathLike[str], models: EnrollingModels | None = None
    ) -> Self:
        """Enroll a folder of one folder for each person, whose name is the person's, in memory.

        `models`: an engine; None opens those that ship. As in `edgeface enroll` a photograph that
        is not good enough or shows somebody else than the others of its person is left out, as is
        somebody who looks like somebody before; `problems` names them. Raises GalleryLookupError
        when that leaves nobody.
        """
        tree = Path(path)
        if not tree.is_dir():
            raise GalleryLookupError(f"{tree}: no such folder; one folder for each person is taken")
        try:
            folders = people_in(tree)
        except NamedFileError as error:
            raise GalleryLookupError(str(error)) from error
        if models is None:
            gate, package = open_gate(ModelsSettings(), DetectionSettings(), QualitySettings())
        else:
            gate, package = models.enrollment_gate, models.package
        rules = DecisionRules()
        bar = bar_for(package.calibration, rules.target_fpir, rules.max_looks)
        problems: list[str] = []
        with (
            tempfile.TemporaryDirectory(prefix="edgeface-") as scratch,
            GalleryStore(Path(scratch) / "gallery", secrets.token_bytes(_KEY_BYTES)) as store,
        ):
            for folder in folders:
                portraits = _portraits(gate, folder, problems)
                if not portraits:
                    problems.append(f"{folder.name}: left out, without a usable photograph")
                    continue
                wish = Wish(display_name=plain_text(folder.name))
                try:
                    done = enroll(store, package.space_id, portraits, wish, bar, time.time())
                except GalleryError as error:
                    problems.append(f"{folder.name}: left out, {error}")
                    continue
                if len(portraits) > 1:  # that one photograph is few is known
                    problems += [f"{folder.name}: {warning}" for warning in done.warnings]
            index = build_index(store, package.space_id)
        if not index.people:
            raise GalleryLookupError(f"{tree}: nobody could be enrolled; {'; '.join(problems)}")
        return cls(index, rules, DecisionSettings().verify_fmr, tuple(problems))

    @property
    def people(self) -> dict[str, str | None]:
        """The display name of every person id."""
        return dict(zip(self.index.people, self.index.display_names, strict=True))

    def __len__(self) -> int:
        """How many people."""
        return len(self.index.people)

    def find(self, person: str) -> str:
        """The id of somebody by id or whole display name. Raises GalleryLookupError when that is
        nobody, or several people."""
        people = self.people
        name = plain_text(person)
        found = [person] if person in people else [key for key in people if people[key] == name]
        if not found:
            raise GalleryLookupError(f"{person}: no such person in the gallery")
        if len(found) > 1:
            raise GalleryLookupError(
                f"{person}: {len(found)} people have this name: {', '.join(found)}"
            )
        return found[0]

    def allowed(self) -> NDArray[np.bool_]:
        """Bool `(p,)`: who may be recognized now, by this machine's clock."""
        return self.index.allowed(time.time(), True, "refuse")


def _portraits(gate: Gate, folder: Path, problems: list[str]) -> list[Portrait]:
    portraits = []
    for photo in photos_in(folder):
        examined = gate.examine_file(photo)
        if isinstance(examined, Refused):
            problems.append(f"{examined.source}: {examined.message}")
        else:
            portraits.append(examined)
    return portraits
