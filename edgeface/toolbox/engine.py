"""The two models behind one door: faces of a picture, same or not, who is it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import (
    ClosedError,
    GalleryLookupError,
    PictureError,
    RuntimeMissingError,
    SettingsError,
)
from edgeface.evaluation.opener import Opener
from edgeface.evaluation.reference import PREFIX
from edgeface.gallery.gate import Gate, explain
from edgeface.gallery.likeness import find_lookalikes
from edgeface.gallery.locate import (
    FaceProblem,
    find_doubtful_faces,
    find_face,
    find_faces,
    find_portrait,
)
from edgeface.inference.embedder import Embedder
from edgeface.inference.models import open_models
from edgeface.inference.package import ModelPackage, find_package
from edgeface.recognition.alignment import align
from edgeface.recognition.decision import Outcome, evaluate
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import match
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits, assess, refusal
from edgeface.recognition.second_look import look_again
from edgeface.recognition.thresholds import COMPARISON_FMR
from edgeface.recognition.values import Embedding, Face, FaceDetector, Image
from edgeface.recognition.verification import verify
from edgeface.service.checked_models import in_use
from edgeface.settings.loading import load_settings
from edgeface.settings.models import Accelerator, ModelsSettings
from edgeface.settings.recognition import DetectionSettings, QualitySettings
from edgeface.toolbox.answered import Candidate, FaceComparison, Identification, VerifiedClaim
from edgeface.toolbox.face_gallery import FaceGallery
from edgeface.toolbox.picture_input import Given, name_of, to_image
from edgeface.toolbox.seen_face import SeenFace

_ACCELERATORS: Final[dict[str, Accelerator]] = {"cpu": "cpu", "auto": "auto", "edgetpu": "edgetpu"}
_NOT_A_FACE: Final = "no face found (the landmarks make no sense)"

Step = Callable[[int, int, str | None], Any]
"""Told of each picture: how many are done, of how many, and what is wrong with this one."""


def open_engine(
    detector: str | os.PathLike[str] | None = None,
    embedder: str | os.PathLike[str] | None = None,
    accelerator: str = "cpu",
    config: str | os.PathLike[str] | None = None,
) -> Engine:
    """Open both models; use it with `with`, in one thread.

    `detector` and `embedder` are folders of model packages or names of those that ship. With
    `config`, a daemon's configuration file, models, limits of quality and detection are as it says.
    `accelerator`: `cpu`; `edgetpu`; `auto` takes an Edge TPU where one is free and the models are
    compiled for it. Raises ModelError, RuntimeMissingError or SettingsError.
    """
    if accelerator not in _ACCELERATORS:
        raise SettingsError(f"accelerator={accelerator!r}: {', '.join(_ACCELERATORS)} are taken")
    models, detection, quality = ModelsSettings(), DetectionSettings(), QualitySettings()
    if config is not None:
        settings = in_use(load_settings(Path(config)))
        models, detection, quality = settings.models, settings.detection, settings.quality
    update: dict[str, Any] = {}
    if embedder is not None:
        update["embedder"] = find_package(os.fspath(embedder))
    limits = QualityLimits(**quality.model_dump())
    reference = detector is not None and os.fspath(detector).startswith(PREFIX)
    if detector is not None and not reference:
        update["detector"] = find_package(os.fspath(detector))
    models = models.on(_ACCELERATORS[accelerator]).model_copy(update=update)
    if reference:
        opener = Opener()
        found = opener.detector(str(detector), score_threshold=detection.score_threshold)
        return Engine(found, opener.embedder(str(models.embedder)), limits)
    own, embedding, state = open_models(models, detection)
    if state.degraded:
        raise RuntimeMissingError(f"the Edge TPU cannot be used: {state.reason}")
    return Engine(own, embedding, limits)


class Engine:
    """A detector and an embedder, and the daemon's rules for what they say. Not thread-safe.

    Where a picture is taken it is a path, the bytes of a file, an array uint8 `(h, w, 3)` whose
    channels are in the order `color` (`bgr` as OpenCV has it, or `rgb`) or a PIL image; or a face
    that `faces` has found. PictureError says what is wrong with one that cannot be used.
    """

    def __init__(
        self, detector: FaceDetector, embedder: Embedder, limits: QualityLimits | None = None
    ) -> None:
        """`limits` of the quality that a face must have to be compared."""
        self._detector = detector
        self._embedder = embedder
        self._limits = limits or QualityLimits()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Use it no more; safe to call twice. Embeddings that were computed stay."""
        self._closed = True

    @property
    def package(self) -> ModelPackage:
        """The embedder's, with its calibration."""
        return self._embedder.package

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has."""
        return self._embedder.dimensions

    @property
    def limits(self) -> QualityLimits:
        """What a face must have to be compared."""
        return self._limits

    @property
    def enrollment_gate(self) -> Gate:
        """What `edgeface enroll` examines photographs with."""
        return Gate(self._detector, self._embedder, self._limits)

    def faces(self, picture: Given, color: str = "bgr") -> list[SeenFace]:
        """All faces of the picture from left to right, those that a gate refuses among them; an
        uncertain one rather than none."""
        image, source = self._read(picture, color), name_of(picture)
        found = find_faces(self._detector, image)
        if not found:
            doubtful = find_doubtful_faces(self._detector, image)
            found = [face for face in doubtful if face.score >= self._limits.min_score]
        closely = (look_again(self._detector, image, face) for face in found)
        seen = [self._seen(image, face, source) for face in closely]
        return sorted((face for face in seen if face), key=lambda face: face.box.center)

    def track(
        self, frames: Iterable[Frame], rules: PipelineRules | None = None
    ) -> Iterator[tuple[Frame, list[SeenFace]]]:
        """Each frame of a video with its faces by their tracks, as the daemon's pipeline sees them.

        `rules`: the daemon's; the engine's own limits of quality hold.
        """
        self._require_open()
        rules = replace(rules or PipelineRules(), limits=self._limits)
        pipeline = Pipeline(self._detector, self._embedder, self.package.calibration, rules)
        nobody = Gallery(GalleryIndex.empty(self._embedder.space_id), np.zeros(0, np.bool_))
        for frame in frames:
            faces = []
            for sight in pipeline.process(frame, nobody).sights:
                if sight.quality is None:
                    continue
                crop = align(frame.image, sight.face.landmarks, self._embedder.alignment)
                faces.append(
                    SeenFace(
                        sight.face,
                        sight.quality,
                        sight.gate,
                        crop,
                        frame.source,
                        self._embed,
                        sight.embedding,
                        sight.track_id,
                    )
                )
            yield frame, sorted(faces, key=lambda face: face.track_id or 0)

    def face(self, picture: Given, color: str = "bgr") -> SeenFace:
        """The one face that the picture is about. Raises PictureError when there is none, none that
        dominates, or it is not upright."""
        if isinstance(picture, SeenFace):
            return picture
        image, source = self._read(picture, color), name_of(picture)
        found = find_portrait(self._detector, image, self._limits.min_score)
        if isinstance(found, FaceProblem):
            raise PictureError(f"{source}: {found.message}")
        seen = self._seen(image, found, source)
        if seen is None:
            raise PictureError(f"{source}: {_NOT_A_FACE}")
        return seen

    def explain(self, face: SeenFace) -> str | None:
        """What is wrong with a face that a gate refuses, in one clause; None for a good one."""
        return None if face.gate is None else explain(face.gate, face.quality, self._limits)

    def compare(
        self, a: Given, b: Given, *, fmr: float = COMPARISON_FMR, color: str = "bgr"
    ) -> FaceComparison:
        """Whether two faces are one person's, at a false match rate of `fmr`, in (0, 1).

        Raises PictureError for a face that could not be enrolled: a verdict about it would be worse
        than none.
        """
        if not 0 < fmr < 1:
            raise SettingsError(f"fmr={fmr}: a share of strangers between 0 and 1 is taken")
        first, second = (self._enrollable(self.face(one, color)).embedding for one in (a, b))
        similarity = float(first @ second)
        calibration = self.package.calibration
        threshold = calibration.threshold_for(fmr)
        doubt = calibration.doubt_below(threshold)
        same, unsure = similarity >= threshold.value, similarity >= doubt
        return FaceComparison(
            verdict="same" if same else "unsure" if unsure else "different",
            similarity=similarity,
            distance=float(np.linalg.norm(first - second)),
            threshold=threshold.value,
            fmr=fmr,
            extrapolated=threshold.extrapolated,
            doubt_threshold=doubt,
        )

    def embed(
        self, pictures: Sequence[Given], progress: Step | None = None, color: str = "bgr"
    ) -> NDArray[np.float32]:
        """Float32 `(n, d)`, unit rows: the face of each picture, of several the central and large
        one; a row of NaN where there is none. `progress(done, total, problem)` is called after each
        of them."""
        if isinstance(pictures, str | os.PathLike):
            raise PictureError(f"{pictures} was given; a list of pictures is taken")
        rows = np.full((len(pictures), self._embedder.dimensions), np.nan, np.float32)
        for number, picture in enumerate(pictures):
            problem = None
            try:
                rows[number] = self._central(picture, color).embedding
            except PictureError as error:
                problem = str(error)
            if progress is not None:
                progress(number + 1, len(pictures), problem)
        return rows

    def identify(
        self, picture: Given, gallery: FaceGallery, *, nearest: int = 0, color: str = "bgr"
    ) -> Identification:
        """Who of the gallery it is, or nobody, at the daemon's threshold for so many templates.

        `nearest`: so many of the nearest single templates are named as well. Raises
        GalleryLookupError for a gallery of another embedder.
        """
        face = self.face(picture, color)
        index, allowed = self._index_of(gallery), gallery.allowed()
        if face.gate is not None:
            return Identification("rejected_quality", None, None, False, (), (), face.gate)
        rows = face.embedding[np.newaxis]
        ranking = match(rows, np.ones(1, np.float32), index, allowed)
        look = evaluate(ranking, index, self.package.calibration, gallery.rules)
        permitted = {index.people[number] for number in np.flatnonzero(allowed)}
        candidates = tuple(
            Candidate(found.person_id, found.display_name, found.score)
            for found in find_lookalikes(rows, index, -math.inf)
            if found.person_id in permitted
        )
        outcome: Outcome = look.outcome
        if outcome == "unknown" and not face.quality.clear:
            outcome = "inconclusive"
        return Identification(
            outcome=outcome,
            person=candidates[0] if outcome == "recognized" else None,
            threshold=None if look.threshold is None else look.threshold.value,
            extrapolated=look.threshold is not None and look.threshold.extrapolated,
            candidates=candidates,
            nearest_templates=_nearest(face.embedding, index, permitted, nearest),
            gate=None,
        )

    def verify(
        self, picture: Given, gallery: FaceGallery, person: str, *, color: str = "bgr"
    ) -> VerifiedClaim:
        """Whether it is the person of this id or display name, at the daemon's threshold.

        Raises GalleryLookupError when there is no such person, or the gallery is of another
        embedder.
        """
        person_id = gallery.find(person)
        index, name = self._index_of(gallery), gallery.people[person_id]
        face = self.face(picture, color)
        if face.gate is not None:
            return VerifiedClaim("rejected_quality", person_id, name, None, None, False, face.gate)
        done = verify(
            face.embedding[np.newaxis],
            np.ones(1, np.float32),
            int(face.quality.clear),
            person_id,
            index,
            gallery.allowed(),
            self.package.calibration,
            gallery.verify_fmr,
            gallery.rules,
        )
        return VerifiedClaim(
            done.outcome, person_id, name, done.score, done.threshold, done.extrapolated, None
        )

    def _read(self, picture: Given, color: str) -> Image:
        self._require_open()
        return to_image(picture, color)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the engine is closed; edgeface.open() opens another")

    def _seen(self, image: Image, face: Face, source: str) -> SeenFace | None:
        """None for what cannot be aligned, which is no face."""
        try:
            crop = align(image, face.landmarks)
        except ValueError:
            return None
        quality = assess(face, crop, (image.shape[1], image.shape[0]))
        gate = refusal(quality, self._limits)
        crop = align(image, face.landmarks, self._embedder.alignment)
        return SeenFace(face, quality, gate, crop, source, self._embed)

    def _embed(self, crop: Image) -> Embedding:
        self._require_open()
        return np.asarray(self._embedder.embed([crop])[0], dtype=np.float32)

    def _central(self, picture: Given, color: str) -> SeenFace:
        if isinstance(picture, SeenFace):
            return picture
        image, source = self._read(picture, color), name_of(picture)
        found = find_face(self._detector, image, doubtful=True)
        seen = None if isinstance(found, FaceProblem) else self._seen(image, found, source)
        if seen is None:
            raise PictureError(f"{source}: no face found")
        return seen

    def _enrollable(self, face: SeenFace) -> SeenFace:
        limits = self._limits.for_enrollment()
        gate = refusal(face.quality, limits)
        if gate is not None:
            raise PictureError(f"{face.source}: {explain(gate, face.quality, limits)}")
        return face

    def _index_of(self, gallery: FaceGallery) -> GalleryIndex:
        if not isinstance(gallery, FaceGallery):
            raise GalleryLookupError(
                f"{gallery!r} was given as the gallery; edgeface.Gallery.open(config) or "
                "edgeface.Gallery.from_folder(path) makes one"
            )
        index = gallery.index
        if index.people and index.space != self._embedder.space_id:
            raise GalleryLookupError(
                f"the gallery's templates are of embedder {index.space}, the engine's is "
                f"{self._embedder.space_id}; open the engine with the gallery's config"
            )
        return index


def _nearest(
    embedding: Embedding, index: GalleryIndex, permitted: set[str], count: int
) -> tuple[Candidate, ...]:
    if count <= 0 or not len(index.matrix):
        return ()
    cosines = index.matrix.cosines(embedding[np.newaxis])[0]
    owners = ((index.owners[row], cosines[row]) for row in np.argsort(-cosines, kind="stable"))
    found = [
        Candidate(index.people[owner], index.display_names[owner], float(score))
        for owner, score in owners
        if index.people[owner] in permitted
    ]
    return tuple(found[:count])
