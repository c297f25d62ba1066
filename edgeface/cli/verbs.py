"""The verbs of the command line: which module each lives in, and its line of help.

A verb's module has `add_arguments(parser)` and `run(args) -> int`. It is imported only when its
verb was chosen, so that `edgeface --help` costs no import of numpy or OpenCV.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb lives and what it does, in one line."""

    module: str
    help: str


VERBS: dict[str, Verb] = {
    "run": Verb("edgeface.cli.run", "run the daemon"),
    "demo": Verb("edgeface.cli.demo", "show the main job with a broker, a daemon and a door"),
    "door": Verb("edgeface.cli.door", "run the reference door controller"),
    "call": Verb("edgeface.cli.call", "ask a device over MQTT: ping, verify, enroll, why, ..."),
    "enroll": Verb("edgeface.cli.enroll", "enrol a person from photographs"),
    "gallery": Verb("edgeface.cli.gallery", "list, show, remove, export, import or audit people"),
    "fleet": Verb("edgeface.cli.fleet", "look after one gallery for all devices of a site"),
    "config": Verb("edgeface.cli.config", "check or show a configuration, or print its schema"),
    "certs": Verb("edgeface.cli.certs", "make the fleet's certificates and access list"),
    "keys": Verb("edgeface.cli.keys", "make the administrator's key pair for sealed answers"),
    "models": Verb("edgeface.cli.models", "check the model packages"),
    "evaluate": Verb("edgeface.cli.evaluate", "measure error rates of a model on labelled images"),
    "compare": Verb("edgeface.cli.compare", "compare the faces of two photographs"),
    "bench": Verb("edgeface.cli.bench", "measure speed and memory"),
    "doctor": Verb("edgeface.cli.doctor", "look for what this machine lacks"),
}
