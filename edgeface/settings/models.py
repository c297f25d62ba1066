"""Section `models`: the two model packages, the TFLite runtime and the accelerators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from edgeface.settings.base import Place, Seconds, Section, place
from edgeface.settings.places import shipped_models


def _package(value: Any) -> Any:
    """A bare name is a package that ships; anything with a slash or a leading dot is a path."""
    text = str(value) if isinstance(value, str | Path) else ""
    if text and "/" not in text and not text.startswith((".", "~", "credential:")):
        return shipped_models() / text
    return place(value)


Package = Annotated[Path, BeforeValidator(_package)]
"""The absolute path of a model package's folder."""


Accelerator: TypeAlias = Literal["auto", "cpu", "edgetpu", "delegate"]
Threads = Annotated[int, Field(ge=1, le=64)]


class ModelsSettings(Section):
    """The two model packages, the TFLite runtime and the accelerators they run on."""

    detector: Package = Path("face_detector")
    embedder: Package = Path("facenet")
    next_embedder: Package | None = None
    """Taken into use instead once everybody in the fleet's gallery has templates of it."""
    runtime: Literal["auto", "litert", "tflite"] = "auto"
    """`litert`: ai-edge-litert; `tflite`: tflite-runtime; `auto`: the first that works, with the
    accelerator where one is to be used."""
    accelerator: Accelerator = "auto"
    """`auto` takes an Edge TPU when there is one and a compiled model for it; `delegate` runs
    `model.tflite` through the library of `models.delegate`."""
    detector_accelerator: Accelerator | None = None
    """Of the detector alone; null: as `accelerator`."""
    embedder_accelerator: Accelerator | None = None
    """Of the embedder alone; null: as `accelerator`."""
    edgetpu_device: Annotated[str, Field(pattern=r"^((usb|pci)?(:[0-9]+)?)$")] = ""
    """Which Edge TPU: empty for any, `usb`, `pci`, `:0`, `usb:0`, `pci:1`."""
    delegate: Place | None = None
    """The shared library of a TFLite delegate; null: the Edge TPU's, `libedgetpu.so.1`."""
    delegate_options: dict[str, str] = Field(default_factory=dict)
    """What that library is given, texts by its own names: `{Performance: Low}` for instance."""
    threads: Threads = 1
    """Threads of the CPU runtime."""
    detector_threads: Threads | None = None
    """Of the detector alone; null: as `threads`."""
    embedder_threads: Threads | None = None
    """Of the embedder alone; null: as `threads`."""
    invoke_deadline_s: Annotated[float, Field(gt=0, le=5)] = 2.0
    """An answer of an accelerator that takes longer is a failure of it, and one that has not come
    after twice as long never comes; the CPU has no deadline."""
    golden_every_s: Seconds = 3600.0
    """How often the golden input runs again while nobody is at the door; at the latest after twice
    as long, whoever is there."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "delegate" in self.accelerators:
            if self.delegate is None:
                raise ValueError("accelerator delegate needs delegate, the path of its library")
            if not set(self.accelerators) <= {"delegate", "cpu"}:
                raise ValueError(
                    "one library serves both models: delegate goes together with delegate or cpu"
                )
        return self

    @property
    def accelerators(self) -> tuple[Accelerator, Accelerator]:
        """What the detector and the embedder are to run on."""
        return (
            self.detector_accelerator or self.accelerator,
            self.embedder_accelerator or self.accelerator,
        )

    @property
    def thread_counts(self) -> tuple[int, int]:
        """Of the detector and of the embedder."""
        return self.detector_threads or self.threads, self.embedder_threads or self.threads

    def on(self, accelerator: Accelerator) -> ModelsSettings:
        """The same with both models there."""
        both = {"detector_accelerator": None, "embedder_accelerator": None}
        return self.model_copy(update={"accelerator": accelerator, **both})
