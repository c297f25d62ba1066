"""The models, opened and proved by their golden test on the accelerator in use.

A fleet moves to another embedder: the device follows when everybody has templates of it.
`models.embedder` is in use until the fleet's manifest says that everybody has templates of
`models.next_embedder`; from then on that is, also after a restart and while the broker is away.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import EdgefaceError, ModelError
from edgeface.base.files import PRIVATE, write_file
from edgeface.contract.event import ModelsUsed
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.golden import check_golden
from edgeface.inference.models import AcceleratorState, open_liveness, open_models
from edgeface.inference.package import load_package
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.recognition.thresholds import Calibration
from edgeface.settings.models import Accelerator
from edgeface.settings.recognition import PadSettings
from edgeface.settings.tree import Settings

WRONG_ANSWERS: Final = "the accelerator failed the golden test"


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """A detector, an embedder and a detector of attacks that passed. Owned by one thread."""

    detector: Detector
    embedder: Embedder
    accelerator: AcceleratorState
    calibration: Calibration
    liveness: PassiveLiveness | None = None
    """The detector of attacks; None where none is wanted, or it cannot be used."""
    unusable: str | None = None
    """Why the detector of attacks could not be opened."""

    @property
    def liveness_trouble(self) -> str | None:
        """Why liveness is not assessed though it is wanted; None where it is."""
        return self.unusable if self.liveness is None else self.liveness.distrusted

    @property
    def used(self) -> ModelsUsed:
        """What events say of them."""
        return ModelsUsed(
            detector=f"sha256:{self.detector.package.sha256}",
            embedder=f"sha256:{self.embedder.package.sha256}",
            pad=None if self.liveness is None else f"sha256:{self.liveness.package.sha256}",
        )

    def check(self) -> None:
        """Run the golden inputs again. Raises ModelError when a result of detector or embedder is
        wrong; a detector of attacks that fails, on whatever they run, has no score from then on."""
        if self.liveness is not None:
            self.liveness.distrust(_fault(self.liveness))
        for model in (self.detector, self.embedder):
            check_golden(model.package, model).require()

    def close(self) -> None:
        """Let go of all, and of an accelerator: nobody else can have it before."""
        self.detector.close()
        self.embedder.close()
        if self.liveness is not None:
            self.liveness.close()


def open_checked(
    settings: Settings, lost: str | None = None, *, accelerator: Accelerator | None = None
) -> Models:
    """Open the configured models and run the golden test.

    An accelerator that fails it is given up: then the CPU is used, degraded. `lost` says why one
    was given up before; `accelerator` replaces the configured ones. Raises ModelError or
    RuntimeMissingError.
    """
    wanted = settings.models.on(accelerator) if accelerator else settings.models
    detector, embedder, state = open_models(wanted, settings.detection, lost=lost)
    calibration = embedder.package.calibration
    models = Models(detector, embedder, state, calibration, *_liveness(settings))
    where = {"runtime": state.runtime, "detector": state.detector, "embedder": state.embedder}
    _log.info("the models are open", extra=where)
    try:
        models.check()
        _log.info("the models passed the golden test")
    except ModelError as error:
        if state.in_use == "cpu":
            raise
        models.close()
        return open_checked(settings, f"{WRONG_ANSWERS}: {error}")
    return models


def open_attack_detector(pad: PadSettings, runtime: str) -> PassiveLiveness | None:
    """What looks for attacks, proved by its golden test; None where none is wanted.

    Raises ModelError or RuntimeMissingError.
    """
    if pad.model is None:
        return None
    opened = open_liveness(pad.model, runtime, pad.target_bpcer)
    _ = opened.threshold
    check_golden(opened.package, opened).require()
    return opened


def _fault(liveness: PassiveLiveness) -> str | None:
    try:
        return check_golden(liveness.package, liveness).fault
    except ModelError as error:
        return str(error)


def _liveness(settings: Settings) -> tuple[PassiveLiveness | None, str | None]:
    """One that cannot be used is done without where nothing depends on it, with why; raises
    ModelError where a policy does."""
    pad = settings.pad
    try:
        return open_attack_detector(pad, settings.models.runtime), None
    except ModelError as error:
        if pad.refusing:
            policies = " and ".join(f"pad.{policy}" for policy in pad.refusing)
            raise ModelError(
                f"{error}; {policies} cannot do without: mend section pad, or say report"
            ) from error
        _log.warning("liveness is not assessed: %s", error)
        return None, str(error)


CHOICE_NAME: Final = "embedder-space"
"""In the state folder: the space of the embedder that was changed to."""

_log = logging.getLogger(__name__)


def next_space(settings: Settings) -> str | None:
    """The space of the embedder that waits; None when none does, or it cannot be used."""
    if settings.models.next_embedder is None or settings.gallery.source != "fleet":
        return None
    try:
        return load_package(settings.models.next_embedder).space_id
    except ModelError as error:
        _log.error("models.next_embedder: %s", error)
        return None


def in_use(settings: Settings) -> Settings:
    """`settings` with the next embedder in the place of the first, if it was changed to."""
    space = next_space(settings)
    return changed(settings) if space is not None and _chosen(settings) == space else settings


def changed(settings: Settings) -> Settings:
    """`settings` with the next embedder in the place of the first."""
    models = settings.models
    update = {"embedder": models.next_embedder or models.embedder, "next_embedder": None}
    return settings.model_copy(update={"models": models.model_copy(update=update)})


def change(settings: Settings, space: str) -> Settings | None:
    """The settings from now on, remembered over a restart; None when the next embedder is not, or
    no longer, the one of `space`, fails its check, or the choice cannot be kept."""
    if next_space(settings) != space:
        return None
    after = changed(settings)
    try:
        open_checked(after, accelerator="cpu")
        write_file(_file(settings), f"{space}\n".encode(), PRIVATE, replace=True)
    except EdgefaceError as error:
        _log.error("the next embedder is not taken into use: %s", error)
        return None
    _log.info("everybody has templates of the next embedder: it is taken into use")
    return after


def _chosen(settings: Settings) -> str | None:
    try:
        return _file(settings).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _file(settings: Settings) -> Path:
    return settings.state_dir / CHOICE_NAME
