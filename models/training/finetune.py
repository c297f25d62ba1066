"""Adapt the embedder to a folder of photographs of known people: `<person>/<picture>`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgeface.evaluation.operating_points import OperatingPoint, operating_points
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.inference.detector import Detector
from edgeface.inference.package import find_package, load_package
from edgeface.recognition.alignment import RETAIL, similarity
from edgeface.recognition.decision import DecisionRules
from models.training.embedder import Embedder
from models.training.faces import DIVERSE_MARGIN_PX, DIVERSE_PX
from models.training.held_out import LEAST_PEOPLE, measure, split, table
from models.training.losses import arcface_logits, semi_hard_triplets, triplet_loss
from models.training.package import open_folder
from models.training.quantise import load_embedder
from models.training.run import Average, Budget, cosine_rate, save_checkpoint
from models.training.views import normalise, random_view

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class FinetuneRun:
    """Settings. A batch holds `people` people with `each` pictures."""

    loss: Literal["triplet", "arcface"] = "triplet"
    steps: int = 400
    people: int = 8
    each: int = 4
    rate: float = 1e-4
    margin: float = 0.2
    seed: int = 1
    held_out: float = 0.2
    """The share of the people on whom it is measured, and not trained."""


def read_people(folder: Path, detector: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Aligned faces uint8 BGR `(n, 152, 152, 3)` and the person of each, int64 `(n,)`.

    Pictures in which not exactly one usable face is found are named on standard output and left
    out. Raises ValueError with fewer than two people who have at least two pictures.
    """
    finder = open_folder(detector)
    assert isinstance(finder, Detector)
    crops, labels, kept = [], [], 0
    for person in sorted(p for p in folder.iterdir() if p.is_dir()):
        found = []
        for path in sorted(p for p in person.iterdir() if p.suffix.lower() in PICTURES):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            face = None if image is None else find_face(finder, image)  # type: ignore[arg-type]
            if image is None or face is None or isinstance(face, FaceProblem):
                print(f"left out: {path}: {'not a picture' if image is None else face}")
                continue
            matrix = similarity(face.landmarks, RETAIL.template + np.float32(DIVERSE_MARGIN_PX))
            found.append(cv2.warpAffine(image, matrix, (DIVERSE_PX, DIVERSE_PX)))
        if len(found) < 2:
            print(f"left out: {person}: fewer than two usable pictures")
            continue
        crops += found
        labels += [kept] * len(found)
        kept += 1
    if kept < 2:
        raise ValueError(f"{folder}: at least two people with two usable pictures are needed")
    return np.stack(crops).astype(np.uint8), np.array(labels, np.int64)


def finetune(checkpoint: Path, out: Path, folder: Path, detector: Path, run: FinetuneRun) -> Path:
    """Train on the people of `folder` from `checkpoint`, less those held out, and print what it has
    done for these; return the new checkpoint's path."""
    torch.manual_seed(run.seed)
    rng = np.random.default_rng(run.seed)
    crops, labels = read_people(folder, detector)
    model: Embedder = load_embedder(checkpoint)
    aside = split(labels, run.held_out, np.random.default_rng(run.seed))
    tested = crops[aside], labels[aside]
    before = measure(model, *tested) if aside.any() else None
    crops, labels = crops[~aside], np.unique(labels[~aside], return_inverse=True)[1]
    average = _trained(model, crops, labels, rng, run)
    path = out / "embedder.pt"
    save_checkpoint(path, average=average.state, shape=asdict(model.shape), steps=run.steps)
    if before is None:
        print(f"nothing is measured: nobody is held out, or fewer than {2 * LEAST_PEOPLE} people")
        return path
    after = measure(load_embedder(path), *tested)
    print(
        f"{len(np.unique(tested[1]))} people held out, {len(tested[1])} pictures: "
        f"{len(before.genuine)} genuine pairs, {len(before.impostor)} impostor pairs"
    )
    print(table(before, after, _thresholds()))
    return path


def _thresholds() -> list[OperatingPoint]:
    """Those that the package in use has; after fine-tuning they hold no longer."""
    package = load_package(find_package("facenet"))
    return operating_points(package.calibration, DecisionRules(), sizes=(100,))


def _trained(
    model: Embedder,
    crops: NDArray[np.uint8],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    run: FinetuneRun,
) -> Average:
    """Train `model`; the mean of its weights."""
    people = int(labels.max()) + 1
    prototypes = torch.nn.Parameter(torch.randn(people, model.shape.embedding) * 0.1)
    trained = [*model.parameters(), *([prototypes] if run.loss == "arcface" else [])]
    optimiser = torch.optim.AdamW(trained, run.rate, weight_decay=0.01)
    average, budget = Average(model, 0.99), Budget(steps=run.steps)
    while budget.progress < 1:
        chosen = rng.choice(people, min(run.people, people), replace=False)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(labels == person), run.each) for person in chosen]
        )
        faces = np.stack([random_view(rng, crops[row], 0.7) for row in rows])
        given = torch.nn.functional.normalize(model(normalise(faces)))
        truth = torch.from_numpy(labels[rows])
        if run.loss == "arcface":
            logits = arcface_logits(given, prototypes, truth, scale=32.0, margin=0.3)
            loss = torch.nn.functional.cross_entropy(logits, truth)
        else:
            anchors, positives, negatives = semi_hard_triplets(given, truth, run.margin)
            total = triplet_loss(given[anchors], given[positives], given[negatives], run.margin)
            loss = total / max(1, len(anchors))
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(budget, run.rate, warm_steps=20)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        budget.advance()
        average.update(model)
        if budget.done_steps % 50 == 0 or budget.progress >= 1:
            print(f"step {budget.done_steps}: loss {float(loss.detach()):.4f}", flush=True)
    return average
