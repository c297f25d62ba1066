"""The models benchmark: how near each network comes to what its runtime can do on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edgeface.base.errors import RuntimeMissingError
from edgeface.bench.plain_product import MULTIPLY_ADDS, plain_product
from edgeface.inference.description import MODEL_FILE
from edgeface.inference.flatbuffer import read_model
from edgeface.inference.layers import layers_of
from edgeface.inference.package import load_package
from edgeface.inference.runtimes import RUNTIMES, Interpreter, Runtime, probe_runtime

_WARM_UP: Final = 5


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """One network with one runtime."""

    model: str
    runtime: str
    threads: int
    ms: float
    """Median of one run, by the clock on the wall."""
    multiply_adds: int
    """Of one run."""
    giga_a_second: float
    """Multiply-adds, in milliards."""
    product_giga_a_second: float
    """The same of a plain product of int8 matrices, run in turns with it."""
    share_of_product: float


@dataclass(frozen=True, slots=True)
class ModelsBench:
    """What `edgeface bench models` prints."""

    speeds: list[ModelSpeed]
    left_out: list[str]
    """The runtimes that do not work here, and why."""


def bench_models(
    packages: Sequence[Path],
    threads: Sequence[int],
    runs: int,
    each: Callable[[int], object] | None = None,
) -> ModelsBench:
    """Each package with each runtime that works and each number of threads; `each` is told how many
    are done. Raises ModelError, or RuntimeMissingError without the schema of TFLite files."""
    runtimes: list[Runtime] = []
    left_out: list[str] = []
    for name in RUNTIMES:
        try:
            runtimes.append(probe_runtime(name))
        except RuntimeMissingError as error:
            left_out.append(str(error))
    speeds: list[ModelSpeed] = []
    product = plain_product()
    for runtime in runtimes:
        for count in threads:
            plain = runtime.interpreter(product, threads=count)
            for path in packages:
                content = load_package(path).read(MODEL_FILE)
                network = runtime.interpreter(content, threads=count)
                ms, product_ms = _medians_ms([network, plain], runs)
                adds = sum(layer.multiply_adds for layer in layers_of(read_model(content)))
                giga, most = adds / ms / 1e6, MULTIPLY_ADDS / product_ms / 1e6
                speeds.append(
                    ModelSpeed(path.name, str(runtime), count, ms, adds, giga, most, giga / most)
                )
                if each is not None:
                    each(len(speeds))
    return ModelsBench(speeds, left_out)


def _medians_ms(networks: Sequence[Interpreter], runs: int) -> list[float]:
    """Of one run of each; they take turns, so that a busy machine slows all."""
    random = np.random.default_rng(1)
    for network in networks:
        detail = network.get_input_details()[0]
        values = random.integers(-128, 128, tuple(detail["shape"]))
        network.set_tensor(int(detail["index"]), values.astype(detail["dtype"]))
    spent_s = np.zeros((len(networks), _WARM_UP + runs))
    for turn in range(_WARM_UP + runs):
        for which, network in enumerate(networks):
            began_s = time.perf_counter()
            network.invoke()
            spent_s[which, turn] = time.perf_counter() - began_s
    return [float(value) * 1e3 for value in np.median(spent_s[:, _WARM_UP:], axis=1)]
