"""A face of a picture or of a frame of a video, with what the models say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgeface.recognition.quality import Quality
from edgeface.recognition.values import Box, Embedding, Face, Image, Landmarks


@dataclass(slots=True, eq=False)
class SeenFace:
    """One face. Its embedding is computed when it is first asked for."""

    face: Face
    """As the detector has it, after the second look."""
    quality: Quality
    """Size, sharpness, pose and light, measured on the 112 x 112 crop."""
    gate: str | None
    """The daemon's gate that refuses it, `blurred` for instance; None for a good one."""
    crop: Image
    """RGB uint8 `(s, s, 3)`, aligned as the embedder wants it."""
    source: str
    """Which picture it is of."""
    _embed: Callable[[Image], Embedding] = field(repr=False)
    _embedding: Embedding | None = field(default=None, repr=False)
    track_id: int | None = None
    """In a video the same for one person from frame to frame; None in a picture."""

    @property
    def box(self) -> Box:
        """In pixels of the picture."""
        return self.face.box

    @property
    def landmarks(self) -> Landmarks:
        """Float32 `(5, 2)`, x and y in pixels: image-left eye, image-right eye, nose tip,
        image-left and image-right mouth corner."""
        return self.face.landmarks

    @property
    def score(self) -> float:
        """[0, 1]: the detector's score; 0 where the second look did not confirm the face."""
        return self.face.score

    @property
    def embedding(self) -> Embedding:
        """Float32 `(d,)`, unit length. Raises ModelError, or ClosedError after the engine."""
        if self._embedding is None:
            self._embedding = self._embed(self.crop)
            self._embedding.setflags(write=False)
        return self._embedding

    def __repr__(self) -> str:
        box, gate = self.box, "good" if self.gate is None else self.gate
        corners = f"{box.left:z.0f}, {box.top:z.0f}, {box.right:z.0f}, {box.bottom:z.0f}"
        return f"<SeenFace {self.source}: {corners}, score {self.score:.2f}, {gate}>"
