"""The demo from its first line to its exit status."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from edgeface.base.clock import SystemClock
from edgeface.base.errors import StateError
from edgeface.base.ids import PERSON_ID
from edgeface.capture.simulated import Visits
from edgeface.demo.acts import Acts, Cast
from edgeface.demo.checks import Check, clean_end_check, lived_check
from edgeface.demo.child import DemoError, run_to_end
from edgeface.demo.photographs import ENROLLED, STRANGER, Photographs, check_extra, gather
from edgeface.demo.plan import DEVICE, Pace, Plan, camera_section
from edgeface.demo.portraits import take_portraits
from edgeface.demo.recordings import Recordings, Timeline
from edgeface.demo.screen import LAST_LINE, Screen
from edgeface.demo.sheet import Sheet, draw_sheet
from edgeface.demo.stage import Stage
from edgeface.demo.workplace import Workplace
from edgeface.mqtt.localbroker import find_mosquitto
from edgeface.settings.loading import load_settings

ENROL_S: Final = 60.0
READY_S: Final = 60.0
YOU: Final = "You"
_TERMINATED: Final = 128


def perform(plan: Plan, screen: Screen) -> int:
    """0 when everything went as it has to, otherwise 1.

    Raises an EdgefaceError for what keeps the demo from beginning or going on. However it ends, no
    process of it is left.
    """
    camera = None if plan.camera is None else camera_section(plan.camera)
    check_extra()
    find_mosquitto()
    _check_output(plan.output)
    with _endings(), Workplace(keep=plan.keep) as workplace:
        stage = Stage(workplace, screen)
        try:
            return _perform(plan, camera, stage)
        except BaseException:
            _tell_what_is_kept(stage)
            raise
        finally:
            with _undisturbed():
                stage.close()


def _perform(plan: Plan, camera: Mapping[str, Any] | None, stage: Stage) -> int:
    screen, workplace = stage.screen, stage.workplace
    screen.headline("edgeface demo: a camera, a broker, the daemon and a door, all on this machine")
    stage.start_broker()
    where = f"{stage.broker.host}:{stage.broker.port}"
    stage.say("broker", f"mosquitto, private to this demo, on {where}")
    recordings = Recordings(workplace.frames)
    photographs = None if camera is not None else gather(workplace.folder)
    if photographs is not None:
        camera = _simulated(photographs, plan.pace)
    assert camera is not None
    workplace.write_config(camera, stage.broker.port)
    cast, enrolled_from = _enrol(stage, photographs)
    if photographs is not None:
        _know_the_truth(stage, photographs, plan.pace, recordings)
    _start(stage)
    acts = Acts(stage, cast, plan.pace, recordings)
    checks: list[Check] = []
    try:
        acts.play()
    except DemoError as error:
        checks.append(lived_check(str(error)))
    stage.finish()
    checks = [*acts.checks(), *checks, clean_end_check(stage.codes, stage.story.status)]
    with _undisturbed():
        stage.close()
    _draw(plan.output, cast, enrolled_from, recordings, acts)
    screen.summary(checks)
    passed = all(check.passed for check in checks)
    lasted = f"{stage.now_s():.0f} s"
    verdict = "Everything went as it has to" if passed else "NOT everything went as it has to"
    screen.text(f"\n{verdict}, in {lasted}. The picture of it: {plan.output.resolve()}")
    _tell_what_is_kept(stage)
    screen.text(LAST_LINE)
    return 0 if passed else 1


def _tell_what_is_kept(stage: Stage) -> None:
    if stage.workplace.keep:
        folder = stage.workplace.folder
        stage.screen.text(f"Kept: {folder} with edgeface.yaml, state, recorded frames and logs")


def _simulated(photographs: Photographs, pace: Pace) -> dict[str, Any]:
    return {
        "source": "simulated",
        "photographs": list(_visitors(photographs)),
        "size": pace.size,
        "fps": pace.fps,
        "visit_s": pace.visit_s,
        "gap_s": pace.gap_s,
        "seed": pace.seed,
        "loop": True,
    }


def _visitors(photographs: Photographs) -> tuple[Path, ...]:
    """Eileen Collins, Grace Hopper, and Eileen Collins twice more, over and over."""
    enrolled, stranger = photographs.enrolled, photographs.stranger
    return enrolled, stranger, enrolled, enrolled


def _know_the_truth(
    stage: Stage, photographs: Photographs, pace: Pace, recordings: Recordings
) -> None:
    visits = Visits(_visitors(photographs), pace.fps, pace.visit_s, pace.gap_s, loop=True)
    stage.timeline = Timeline(visits, recordings)
    stage.names.update({photographs.enrolled: ENROLLED, photographs.stranger: STRANGER})


def _enrol(stage: Stage, photographs: Photographs | None) -> tuple[Cast, Path]:
    """Enrol by the real verb; the cast, and a photograph that was enrolled."""
    workplace = stage.workplace
    if photographs is not None:
        name, pictures = ENROLLED, [photographs.enrolment]
        stage.names[photographs.enrolled] = ENROLLED
        how = "from one photograph, cropped and in other light than the camera will see her"
    else:
        settings = load_settings(workplace.config)
        name = YOU
        pictures = take_portraits(settings, workplace.folder, lambda t: stage.say("camera", t))
        how = f"from {len(pictures)} photographs"
    log = workplace.log_of("enroll")
    arguments: list[str | Path] = ["enroll", *pictures, "--name", name, "-c", workplace.config]
    said = run_to_end("enroll", arguments, log, ENROL_S)
    found = re.search(PERSON_ID.pattern, said)
    if found is None:
        raise DemoError(f"`edgeface enroll` named no person:\n{said}")
    stage.say("enroll", f"{name} is {found[0]}, {how}")
    stranger = None if photographs is None else STRANGER
    return Cast(found[0], name, stranger), pictures[0]


def _start(stage: Stage) -> None:
    """The daemon and the door; returns when the daemon is ready."""
    pid = stage.start_daemon()
    stage.say("daemon", f"edgeface run -c {stage.workplace.config} (process {pid})")
    synced = SystemClock().synced()
    pid = stage.start_door(same_clock=not synced)
    stage.say("door", f"edgeface door (process {pid}) listens to {stage.topics.event}")
    if not synced:
        stage.say(
            "door",
            "This machine's clock is not synchronised (NTP), so a door elsewhere would not act on "
            "an event. This one shares the device's clock, and is told so (--same-clock).",
        )
    ready = ("ready", "degraded")
    story = stage.story
    if stage.until(lambda: story.lifecycle in ready or None, READY_S) is None:
        reasons = "; ".join(story.reasons) or "it said nothing"
        raise DemoError(f"the daemon of {DEVICE} was not ready within {READY_S:g} s: {reasons}")
    why = f" ({'; '.join(story.reasons)})" if story.reasons else ""
    stage.say("daemon", f"{story.lifecycle}{why}: models proved, gallery loaded, camera seen")


def _draw(
    output: Path, cast: Cast, enrolled_from: Path, recordings: Recordings, acts: Acts
) -> None:
    simulated = cast.stranger is not None
    real = "a simulated" if simulated else "a real"
    how = ("another crop, in other light,", "than the camera sees") if simulated else ("", "")
    draw_sheet(
        Sheet(
            subtitle=f"What {real} camera saw, what the daemon decided, and what the door did.",
            enrolled_from=enrolled_from,
            enrolled=cast.enrolled,
            how=how,
            scenes=acts.scenes(),
            frames=recordings.frames(),
        ),
        output,
    )


def _check_output(output: Path) -> None:
    folder = output.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or output.is_dir():
        raise StateError(f"{output}: the picture cannot be written there; choose --output")


@contextmanager
def _endings() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, through every `finally`."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(_TERMINATED + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal interrupts what has to be put away; it is bounded."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
