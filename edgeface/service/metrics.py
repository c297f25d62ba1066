"""What the daemon tells Prometheus: the state, the counters of `~/health` and the meters' durations
under Prometheus' names (https://prometheus.io/docs/practices/naming/).

Nothing is counted here: the numbers are read where they are when somebody asks. Labels have a fixed
set of values each; no person, name or id is one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from edgeface import __version__
from edgeface.base.clock import NS, Clock
from edgeface.contract.command_requests import Verb
from edgeface.contract.event import Outcome
from edgeface.contract.report import AlertId, Lifecycle, State
from edgeface.inference.models import AcceleratorState, Where
from edgeface.mqtt.link import LinkStatus
from edgeface.recognition.pipeline import NOT_A_FACE
from edgeface.recognition.quality import GATES
from edgeface.service.board import Board
from edgeface.service.meters import Distribution, temperature_c

if TYPE_CHECKING:
    from prometheus_client import Metric

_Values: TypeAlias = float | Mapping[str, float]
"""Of a family, or by the values of its label."""
_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "frames": ("frames", "Frames put to decision."),
    "frames_dropped": ("frames_dropped", "Frames replaced by a newer one before they were taken."),
    "faces": ("faces", "Faces found in frames."),
    "embeddings": ("embeddings", "Faces that were embedded."),
    "looks": ("looks", "Times that a track's evidence was put to the test."),
    "names_held_back": ("names_held_back", "Names that the cool-down did not announce twice."),
    "worker_restarts": ("worker_restarts", "Workers started again after a failure."),
    "connections": ("mqtt_connections", "Connections made to the broker."),
    "log_refused": ("events_refused", "Events that the broker refused."),
    "commands_refused": ("commands_refused", "Commands that were refused."),
    "commands_dropped": ("commands_dropped", "Commands beyond what may wait."),
    "snapshots_kept": ("snapshots_kept", "Pictures of decisions that were kept."),
    "snapshots_left_out": ("snapshots_left_out", "Pictures that were due and were not kept."),
    "camera_stalls": ("camera_stalls", "Times that the camera delivered nothing for too long."),
    "camera_reopened": ("camera_reopened", "Times that the camera was opened again."),
}
"""By the name in `~/health`: the name for Prometheus, without prefix and `_total`, and its help."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the numbers are. Each may be read from any thread."""

    board: Board
    state: Callable[[], State | None]
    counters: Callable[[], dict[str, int]]
    link: Callable[[], LinkStatus]
    clock: Clock


class DeviceMetrics(Collector):
    """Makes the metrics anew for each scrape; keeps nothing."""

    def __init__(self, readings: Readings) -> None:
        self._from = readings

    def collect(self) -> Iterable[Metric]:
        """All families, also those that nothing has been counted in."""
        build = GaugeMetricFamily(
            "edgeface_build_info", "Always 1; the versions.", labels=("version", "python")
        )
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        yield from self._counts(self._from.counters())
        yield from self._durations()
        yield from self._delivery(self._from.link())
        yield from self._sync()
        if (models := self._from.board.models) is not None:
            yield _in_use(models.accelerator)
        if (temperature := temperature_c()) is not None:
            yield _gauge("cpu_temperature_celsius", "Of the processor.", temperature)
        if (state := self._from.state()) is not None:
            yield from self._state(state)

    @staticmethod
    def _counts(counters: Mapping[str, int]) -> Iterator[_Family]:
        for key, (name, text) in COUNTERS.items():
            yield _counter(name, text, counters.get(key, 0))
        for name, label, text, prefix, values in (
            ("decisions", "outcome", "Decisions about tracks.", "events_", get_args(Outcome)),
            (
                "gate_refusals",
                "gate",
                "Faces refused by a limit of quality.",
                "gate_",
                (*GATES, NOT_A_FACE),
            ),
            ("commands", "verb", "Commands taken.", "commands_", get_args(Verb)),
        ):
            counted = {value: counters.get(prefix + value, 0) for value in values}
            yield _counter(name, text, counted, label)

    def _durations(self) -> Iterator[_Family]:
        stages, frames, decisions = self._from.board.meters.durations()
        yield _histogram(
            "stage_duration_seconds",
            "Of a frame: what each stage took; wait is from the capture to the start of the work.",
            stages,
            "stage",
        )
        yield _histogram("frame_latency_seconds", "From the capture of a frame to its end.", frames)
        yield _histogram(
            "decision_latency_seconds",
            "From the capture of the newest picture that a decision rests on to the decision.",
            decisions,
        )

    @staticmethod
    def _delivery(link: LinkStatus) -> Iterator[_Family]:
        yield _gauge("mqtt_connected", "1 while events can be sent.", int(link.connected))
        lanes = {"live": link.live_sent, "log": link.log_delivered}
        yield _counter("events_delivered", "Events given to the broker.", lanes, "lane")
        missed = link.live_missed
        text = "Live events that were not sent, as they were of no use any more."
        yield _counter("events_missed", text, missed, "reason")

    def _sync(self) -> Iterator[_Family]:
        lag = self._from.board.by_gallery.lag
        if lag is None:
            return
        since_ns, now_ns = lag.behind_since_ns, self._from.clock.monotonic_ns()
        behind_s = 0.0 if since_ns is None else (now_ns - since_ns) / NS
        text = "How long the fleet's newest gallery is known and not wholly applied."
        yield _gauge("gallery_sync_lag_seconds", text, behind_s)
        yield _gauge("gallery_missing_records", "Records of it that have not come.", lag.missing)
        text = "The revision of the fleet's newest gallery."
        yield _gauge("gallery_published_revision", text, lag.published_revision)
        if lag.fresh_until_s is not None:
            text = "Until when it is confirmed as the newest one."
            yield _gauge("gallery_fresh_until_timestamp_seconds", text, lag.fresh_until_s)

    def _state(self, state: State) -> Iterator[_Family]:
        outbox, camera, gallery = state.outbox, state.camera, state.gallery
        yield _gauge(
            "lifecycle",
            "1 for where the daemon stands.",
            {name: int(name == state.lifecycle) for name in get_args(Lifecycle)},
            "lifecycle",
        )
        yield _gauge(
            "alert",
            "1 while the alert stands.",
            {alert: int(alert in state.alerts) for alert in get_args(AlertId)},
            "alert",
        )
        since, now_s = outbox.oldest_at, self._from.clock.utc_ns() / NS
        age_s = 0.0 if since is None else max(0.0, now_s - since.timestamp())
        for name, text, value in (
            ("camera_connected", "1 while the camera delivers.", camera.get("connected") is True),
            ("clock_synced", "1 while the clock is synchronized.", state.clock_synced),
            ("idle", "1 while nobody is there and faces are looked for seldom.", state.idle),
            (
                "threshold_extrapolated",
                "1 where the threshold lies beyond what the calibration supports.",
                state.threshold_extrapolated,
            ),
            ("outbox_events", "Events that wait for the broker.", outbox.depth),
            ("outbox_bytes", "Their size.", outbox.bytes),
            ("outbox_oldest_event_age_seconds", "How long the oldest of them waits.", age_s),
            ("outbox_degraded", "1 while events cannot be stored.", outbox.degraded is not None),
        ):
            yield _gauge(name, text, float(value))
        text = "Events that had to be dropped."
        yield _counter("outbox_dropped_events", text, outbox.dropped)
        text = "Events refused for what is in them."
        yield _counter("outbox_dead_letters", text, outbox.dead_letters)
        if gallery is not None:
            yield _gauge("gallery_people", "People that can be recognized.", gallery.people)
            yield _gauge("gallery_templates", "Their templates.", gallery.templates)
            yield _gauge("gallery_epoch", "Of the gallery in use.", gallery.epoch)
            yield _gauge("gallery_revision", "Of the gallery in use.", gallery.revision)


def _gauge(name: str, text: str, values: _Values, label: str | None = None) -> _Family:
    return _filled(GaugeMetricFamily(f"edgeface_{name}", text, labels=_names(label)), values)


def _counter(name: str, text: str, values: _Values, label: str | None = None) -> _Family:
    return _filled(CounterMetricFamily(f"edgeface_{name}", text, labels=_names(label)), values)


def _in_use(state: AcceleratorState) -> _Family:
    family = GaugeMetricFamily(
        "edgeface_accelerator_in_use", "What each model runs on.", labels=("model", "accelerator")
    )
    for model, where in (("detector", state.detector), ("embedder", state.embedder)):
        for accelerator in get_args(Where):
            family.add_metric((model, accelerator), int(where == accelerator))
    return family


def _histogram(
    name: str,
    text: str,
    values: Distribution | Mapping[str, Distribution],
    label: str | None = None,
) -> _Family:
    family = HistogramMetricFamily(f"edgeface_{name}", text, labels=_names(label))
    for key, found in values.items() if isinstance(values, Mapping) else [(None, values)]:
        bounds = [*(f"{bound_s:g}" for bound_s in found.bounds_s), "+Inf"]
        buckets = list(zip(bounds, found.up_to, strict=True))
        family.add_metric(_names(key), buckets, found.total_s)
    return family


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> _Family:
    for key, value in values.items() if isinstance(values, Mapping) else [(None, values)]:
        family.add_metric(_names(key), value)
    return family


def _names(label: str | None) -> tuple[str, ...]:
    return () if label is None else (label,)
