"""The demo from its first line to its exit status."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from edgeface.base.clock import Clock
from edgeface.base.ending import leaving, undisturbed
from edgeface.base.errors import StateError
from edgeface.base.ids import PERSON_ID
from edgeface.demo.checks import clean_end_check, lived_check
from edgeface.demo.child import DemoError, run_to_end
from edgeface.demo.film import NEEDED, with_pauses
from edgeface.demo.photographs import (
    COLLINS,
    HOPPER,
    NAMES,
    held_name,
    take_portraits,
    write_enrollment,
)
from edgeface.demo.plan import DEVICE, People, Plan, Workplace, camera_section
from edgeface.demo.processes import Processes
from edgeface.demo.recordings import Recordings, Timeline
from edgeface.demo.screen import LAST_LINE, Screen
from edgeface.demo.sheet import draw_sheet
from edgeface.demo.steps import Steps
from edgeface.mqtt.localbroker import find_mosquitto
from edgeface.settings.camera import SimulatedCamera
from edgeface.settings.loading import load_settings

ENROLL_S: Final = 60.0
READY_S: Final = 60.0
YOU: Final = "You"
LIVE: Final = "Look into the camera, alone, in good light: you are being enrolled."


def demonstrate(plan: Plan, screen: Screen) -> int:
    """0 when everything went as it has to, otherwise 1.

    Raises an EdgefaceError for what keeps the demo from beginning or going on. However it ends, no
    process of it is left.
    """
    camera = plan.visitors if plan.camera is None else camera_section(plan.camera)
    find_mosquitto()
    _check_output(plan.output)
    with leaving(), Workplace(keep=plan.keep) as workplace:
        if plan.film is not None:
            camera = {**camera, "url": str(with_pauses(plan.film, workplace.folder))}
        recordings = Recordings(workplace.frames)
        simulated = None if plan.camera is not None else SimulatedCamera(**camera)
        timeline = None if simulated is None else Timeline(simulated, recordings)
        processes = Processes(workplace, screen, timeline)
        try:
            screen.headline(
                "edgeface demo: a camera, a broker, the daemon and a door, all on this machine"
            )
            processes.start_broker()
            where = f"{processes.broker.host}:{processes.broker.port}"
            processes.say("broker", f"mosquitto, private to this demo, on {where}")
            workplace.write_config(camera, processes.broker.port)
            passed = _demonstrate(plan, processes, recordings)
        except BaseException:
            _tell_what_is_kept(workplace, screen)
            raise
        finally:
            with undisturbed():
                processes.close()
        verdict = "Everything went as it has to" if passed else "NOT everything went as it has to"
        lasted = f"{processes.now_s():.0f} s"
        screen.text(f"\n{verdict}, in {lasted}. The picture of it: {plan.output.resolve()}")
        _tell_what_is_kept(workplace, screen)
        screen.text(LAST_LINE)
        return 0 if passed else 1


def _demonstrate(plan: Plan, processes: Processes, recordings: Recordings) -> bool:
    """Whether everything went as it has to, with the broker up and the configuration written."""
    people = _enroll(processes, plan)
    _start(processes)
    steps = Steps(processes, people, plan, recordings)
    trouble = []
    try:
        steps.take()
    except DemoError as error:
        trouble.append(lived_check(str(error)))
    processes.finish()
    end = clean_end_check(processes.codes, processes.story.status)
    checks = [*steps.checks(), *trouble, end]
    with undisturbed():
        processes.close()
    draw_sheet(people, steps.rows(), recordings.frames(), plan.output)
    processes.screen.summary(checks)
    return all(check.passed for check in checks)


def _enroll(processes: Processes, plan: Plan) -> People:
    """Enroll by the real verb; who is there."""
    workplace = processes.workplace
    if plan.camera is None:
        name, stranger = NAMES[COLLINS], NAMES[HOPPER]
        held: str | None = held_name(name)
        pictures = [write_enrollment(workplace.folder)]
        how = "from one photograph, cropped and in other light than the camera will see her"
    else:
        name, stranger, held = YOU, None, None
        wish = LIVE if plan.film is None else f"{plan.film.name}: {NEEDED}."
        processes.say("camera", wish)
        settings = load_settings(workplace.config)
        pictures = take_portraits(
            settings, workplace.folder, lambda text: processes.say("camera", text)
        )
        how = f"from {len(pictures)} photographs"
    log = workplace.log_of("enroll")
    arguments: list[str | Path] = ["enroll", *pictures, "--name", name, "-c", workplace.config]
    said = run_to_end("enroll", arguments, log, ENROLL_S)
    found = re.search(PERSON_ID.pattern, said)
    if found is None:
        raise DemoError(f"`edgeface enroll` named no person:\n{said}")
    processes.say("enroll", f"{name} is {found[0]}, {how}")
    if name == YOU and plan.film is None:
        processes.say("camera", "Stay before the camera: the door is to open for you now.")
    return People(found[0], name, stranger, pictures[0], held)


def _start(processes: Processes) -> None:
    """The door and the daemon; returns when the daemon is ready. The door is first: who is in view
    already is announced once, and not again."""
    pid = processes.start_door()
    processes.say("door", f"edgeface door (process {pid}) listens to {processes.topics.event}")
    if (trouble := Clock().sync_trouble()) is not None:
        processes.say(
            "door",
            f"{trouble}. So a door elsewhere would not act on an event. This one shares the "
            "device's clock, and is told so (--same-clock).",
        )
    pid = processes.start_daemon()
    processes.say("daemon", f"edgeface run -c {processes.workplace.config} (process {pid})")
    story = processes.story
    if not processes.until(lambda: story.lifecycle in ("ready", "degraded"), READY_S):
        reasons = "; ".join(story.reasons) or "it said nothing"
        raise DemoError(f"the daemon of {DEVICE} was not ready within {READY_S:g} s: {reasons}")
    why = f" ({'; '.join(story.reasons)})" if story.reasons else ""
    processes.say("daemon", f"{story.lifecycle}{why}: models proved, gallery loaded, camera seen")


def _tell_what_is_kept(workplace: Workplace, screen: Screen) -> None:
    if workplace.keep:
        screen.text(f"Kept: {workplace.folder} with edgeface.yaml, state, recorded frames and logs")


def _check_output(output: Path) -> None:
    folder = output.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or output.is_dir():
        raise StateError(f"{output}: the picture cannot be written there; choose --output")
