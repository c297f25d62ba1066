"""The models benchmark: how near each network comes to what its runtime can do on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import RuntimeMissingError
from edgeface.bench.operator_profile import (
    KindTime,
    OperatorTime,
    kinds_of,
    operator_times,
    prefixes,
)
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
    operators: list[OperatorTime] = field(default_factory=list)
    """Empty where they are not asked for."""
    kinds: list[KindTime] = field(default_factory=list)
    """The same, those of one kind together."""


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
    *,
    operators: bool = False,
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
            for path in packages:
                speeds.append(_speed(path, runtime, count, product, runs, operators))
                if each is not None:
                    each(len(speeds))
    return ModelsBench(speeds, left_out)


def _speed(
    path: Path, runtime: Runtime, threads: int, product: bytes, runs: int, operators: bool
) -> ModelSpeed:
    content = load_package(path).read(MODEL_FILE)
    layers = layers_of(read_model(content))
    made = partial(runtime.interpreter, threads=threads)
    ms, product_ms = np.median(_spent_ms([made(content), made(product)], runs), axis=1).tolist()
    adds = sum(layer.multiply_adds for layer in layers)
    giga, most = adds / ms / 1e6, MULTIPLY_ADDS / product_ms / 1e6
    speed = ModelSpeed(path.name, str(runtime), threads, ms, adds, giga, most, giga / most)
    if not operators:
        return speed
    # The least: what disturbs a run only adds, and differences of medians are mostly that.
    spent_ms = _spent_ms([made(product), *map(made, prefixes(content))], runs).min(axis=1)
    times = operator_times(layers, spent_ms[1:].tolist())
    return replace(
        speed, operators=times, kinds=kinds_of(times, MULTIPLY_ADDS / float(spent_ms[0]) / 1e6)
    )


def _spent_ms(networks: Sequence[Interpreter], runs: int) -> NDArray[np.float64]:
    """Of each run of each, `(networks, runs)`; they take turns, so that a busy machine slows
    all."""
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
    return spent_s[:, _WARM_UP:] * 1e3
