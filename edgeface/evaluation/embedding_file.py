"""A file of embeddings, made once of a folder or zip of pictures (docs/embeddings.md).

While it is made it is written every minute and when the work is broken off; the next run takes
from it every picture that has not changed.
"""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from edgeface.base.counting import counted
from edgeface.base.errors import EvaluationError
from edgeface.base.files import read_file, write_file
from edgeface.evaluation.pictures import PictureRoot, spellings
from edgeface.evaluation.stills import EmbeddedPictures, StillFace, each_picture, gather
from edgeface.recognition.quality import Quality
from edgeface.recognition.templates import can_be_dimensions, decode_codes, encode_template
from edgeface.recognition.values import FaceDetector, FaceEmbedder

FORMAT: Final = 1
FILE_BYTES: Final = 4 << 30
SAVE_EVERY_S: Final = 60.0
_MODE: Final = 0o644
_UNIT: Final = 1e-3
"""How far from 1 the length of a float32 embedding may be."""
_DAMAGE: Final = (
    *(ValueError, TypeError, KeyError, AttributeError),  # other arrays than ours
    *(EOFError, RuntimeError, MemoryError, zlib.error, zipfile.BadZipFile),
)
"""What NumPy and zipfile raise of a file that is none, or damaged."""
_QUALITY: Final = tuple(entry.name for entry in fields(Quality))

EmbeddingRow: TypeAlias = Mapping[str, Any]
"""What the file has of one picture, by the names of its columns."""

_COLUMNS: Final[dict[str, tuple[str, tuple[int | None, ...]]]] = {
    "names": ("U", ()),
    "stamps": ("U", ()),
    "found": ("b", ()),
    "rivals": ("i", ()),
    "boxes": ("f", (4,)),
    "landmarks": ("f", (5, 2)),
    "scores": ("f", ()),
    "quality": ("f", (len(_QUALITY),)),
}
_FLOATS: Final[dict[str, tuple[str, tuple[int | None, ...]]]] = {"embeddings": ("f", (None,))}
_BYTES: Final[dict[str, tuple[str, tuple[int | None, ...]]]] = {
    "codes": ("i", (None,)),
    "scales": ("f", ()),
}
"""Kind and shape of each row's value, None where the embedder decides; embeddings are in one of the
last two forms."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What embeddings were made with; those of two origins are not put in one file."""

    space_id: str
    detector: str
    """The digest of its package, or what else names it."""
    int8: bool
    """Stored as a byte a number and a scale, not as float32."""


def read_embeddings(path: Path) -> tuple[Origin, dict[str, EmbeddingRow]]:
    """What a file has, by the pictures' names. Raises EvaluationError."""
    try:
        content = read_file(path, FILE_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        version = int(arrays["format"])
        origin = Origin(str(arrays["space_id"]), str(arrays["detector"]), "codes" in arrays)
        quality = tuple(arrays["quality_names"].tolist())
        columns = {name: arrays[name] for name in _columns(int8=origin.int8)}
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise EvaluationError(f"{path}: no embeddings that `edgeface embed` has made") from error
    if version != FORMAT or quality != _QUALITY:
        raise EvaluationError(f"{path}: of another version of edgeface; embed the pictures anew")
    count = len(columns["names"])
    for name, (kind, shape) in _columns(int8=origin.int8).items():
        column = columns[name]
        fits = len(column.shape) == len(shape) + 1 and all(
            size == wanted if wanted is not None else size == 0 or can_be_dimensions(size)
            for size, wanted in zip(column.shape, (count, *shape), strict=True)
        )
        if column.dtype.kind != kind or not fits:
            raise EvaluationError(f"{path}: {name}: {column.dtype} {column.shape} does not fit")
    if not _usable(columns):
        raise EvaluationError(f"{path}: an embedding in it is damaged; embed the pictures anew")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return origin, {str(row["names"]): row for row in rows}


def embedded(path: Path, names: Sequence[str], space_id: str) -> tuple[EmbeddedPictures, Origin]:
    """The embeddings of these pictures from a file; `unread` are those that it lacks.

    Raises EvaluationError when it is of another space than `space_id`, or lacks all.
    """
    origin, rows = read_embeddings(path)
    if origin.space_id != space_id:
        raise EvaluationError(
            f"{path}: of the space {origin.space_id[:12]}, and the embedder's is {space_id[:12]};"
            " embed the pictures anew, or name with --embedder what they were embedded with"
        )
    taken = [next((rows[one] for one in spellings(name) if one in rows), None) for name in names]
    unread = [
        f"{path}: has no picture {name}"
        for name, row in zip(names, taken, strict=True)
        if row is None
    ]
    faceless = [str(row["names"]) for row in taken if row is not None and not row["found"]]
    found = [
        None
        if row is None or not row["found"]
        else (_decoded(row), Quality(*map(float, row["quality"])))
        for row in taken
    ]
    return gather(found, unread, faceless, {}), origin


def embed_into(
    path: Path, root: PictureRoot, detector: FaceDetector, embedder: FaceEmbedder, origin: Origin
) -> dict[str, Any]:
    """Embed all pictures of `root` into a file; a JSON-able account of them.

    Raises EvaluationError when a file that is there is of another origin, and when no picture has a
    face; StateError when it cannot be written.
    """
    known = _resumed(path, origin)
    stamps = {name: root.stamp(name) for name in root.names()}
    if not stamps:
        raise EvaluationError(f"{root.path}: has no pictures (JPEG or PNG)")
    rows: dict[str, EmbeddingRow] = {}
    for name, stamp in stamps.items():
        row = known.get(root.plain_name(name))
        if row is not None and row["stamps"] == stamp:
            rows[name] = row
    kept, troubles = len(rows), []
    saved_s = time.monotonic()
    try:
        for picture in each_picture(root, [n for n in stamps if n not in rows], detector, embedder):
            if picture.unread is not None:
                troubles.append(picture.unread)
                continue
            name = picture.name
            rows[name] = _row(root.plain_name(name), stamps[name], picture.face, origin)
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                _write(path, origin, rows)
                saved_s = time.monotonic()
    finally:
        if rows:
            _write(path, origin, {name: rows[name] for name in stamps if name in rows})
    faces = sum(bool(row["found"]) for row in rows.values())
    if not faces:
        raise EvaluationError(f"{root.path}: no face in {counted(len(stamps), 'picture')}")
    return {
        "pictures": len(stamps),
        "faces": faces,
        "kept": kept,
        "space_id": origin.space_id,
        "pictures_unread": troubles,
        "pictures_faceless": [str(row["names"]) for row in rows.values() if not row["found"]],
        "pictures_ambiguous": [str(row["names"]) for row in rows.values() if row["rivals"]],
    }


def _resumed(path: Path, origin: Origin) -> dict[str, EmbeddingRow]:
    if not path.exists():
        return {}
    before, rows = read_embeddings(path)
    if before != origin:
        raise EvaluationError(
            f"{path}: is there already, made with another model or form (--int8); remove it, or"
            " name another file"
        )
    return rows


def _columns(*, int8: bool) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    return _COLUMNS | (_BYTES if int8 else _FLOATS)


def _usable(columns: Mapping[str, Any]) -> bool:
    """Whether each face has an embedding that can be compared."""
    found = columns["found"]
    if "codes" in columns:
        return bool(columns["codes"][found].any(axis=1).all())
    lengths = np.linalg.norm(columns["embeddings"][found], axis=1)
    return bool((np.abs(lengths - 1) < _UNIT).all())


def _row(name: str, stamp: str, found: StillFace | None, origin: Origin) -> EmbeddingRow:
    row: dict[str, Any] = {"names": name, "stamps": stamp, "found": found is not None}
    row["rivals"] = 0 if found is None else found.rivals
    if found is None:
        empty = {"boxes": 4, "landmarks": (5, 2), "scores": (), "quality": len(_QUALITY)}
        row |= {column: np.full(shape, np.nan, np.float32) for column, shape in empty.items()}
        if origin.int8:
            return row | {"codes": np.zeros(0, np.int8), "scales": np.float32(0)}
        return row | {"embeddings": np.zeros(0, np.float32)}
    row["boxes"] = np.array(astuple(found.face.box), np.float32)
    row["landmarks"] = found.face.landmarks
    row["scores"] = np.float32(found.face.score)
    row["quality"] = np.array(astuple(found.quality), np.float32)
    if origin.int8:
        template = encode_template(found.embedding)
        return row | {"codes": template.codes, "scales": template.scale}
    return row | {"embeddings": found.embedding}


def _decoded(row: EmbeddingRow) -> Any:
    return row["embeddings"] if "embeddings" in row else decode_codes(row["codes"][None])[0]


def _write(path: Path, origin: Origin, rows: Mapping[str, EmbeddingRow]) -> None:
    vectors = "codes" if origin.int8 else "embeddings"
    width = max(len(row[vectors]) for row in rows.values())
    columns: dict[str, Any] = {
        name: np.array(
            [np.resize(row[name], width) if name == vectors else row[name] for row in rows.values()]
        )
        for name in _columns(int8=origin.int8)
    }
    columns["rivals"] = columns["rivals"].astype(np.int32)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        format=np.int32(FORMAT),
        space_id=np.str_(origin.space_id),
        detector=np.str_(origin.detector),
        quality_names=np.array(_QUALITY),
        **columns,
    )
    write_file(path, buffer.getvalue(), _MODE, replace=True)
