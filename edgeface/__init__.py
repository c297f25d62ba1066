"""Face recognition at the door, on the device; and the same models from Python.

    import edgeface

    with edgeface.open() as engine:
        print(engine.compare("a.jpg", "b.jpg").verdict)
        gallery = edgeface.Gallery.from_folder("people", engine)
        print(engine.identify("visitor.jpg", gallery).display_name)

`docs/python.md` leads through it. Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeface.base.errors import EdgefaceError, GalleryError, PictureError
    from edgeface.toolbox.answered import (
        Candidate,
        FaceComparison,
        Identification,
        VerifiedClaim,
    )
    from edgeface.toolbox.engine import Engine
    from edgeface.toolbox.engine import open_engine as open  # noqa: A004
    from edgeface.toolbox.face_gallery import FaceGallery as Gallery
    from edgeface.toolbox.seen_face import SeenFace

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "EdgefaceError",
    "Engine",
    "FaceComparison",
    "Gallery",
    "GalleryError",
    "Identification",
    "PictureError",
    "SeenFace",
    "VerifiedClaim",
    "open",
]

_PLACES = {
    "EdgefaceError": ("base.errors", "EdgefaceError"),
    "GalleryError": ("base.errors", "GalleryError"),
    "PictureError": ("base.errors", "PictureError"),
    "Candidate": ("toolbox.answered", "Candidate"),
    "FaceComparison": ("toolbox.answered", "FaceComparison"),
    "Identification": ("toolbox.answered", "Identification"),
    "VerifiedClaim": ("toolbox.answered", "VerifiedClaim"),
    "Engine": ("toolbox.engine", "Engine"),
    "Gallery": ("toolbox.face_gallery", "FaceGallery"),
    "SeenFace": ("toolbox.seen_face", "SeenFace"),
    "open": ("toolbox.engine", "open_engine"),
}
"""Of each public name the module and what it is called there."""


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'edgeface' has no attribute {name!r}")
        module, inner = _PLACES[name]
        return getattr(import_module(f"edgeface.{module}"), inner)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
