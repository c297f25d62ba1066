"""The verbs of the command line, each with its line of help.

A verb's module has its name, `add_arguments(parser)` and `run(args) -> int`. It is imported only
when its verb was chosen, so that `edgeface --help` costs no import of numpy or OpenCV.
"""

from __future__ import annotations

from typing import Final

VERBS: Final[dict[str, str]] = {
    "run": "run the daemon",
    "demo": "show the main job with a broker, a daemon and a door",
    "door": "run the reference door controller",
    "call": "ask a device over MQTT: ping, verify, enroll, why, ...",
    "enroll": "enrol a person from photographs",
    "gallery": "list, show, remove, export, import or audit people",
    "fleet": "look after one gallery for all devices of a site",
    "config": "check or show a configuration, or print its schema",
    "certs": "make the fleet's certificates and access list",
    "keys": "make the administrator's key pair for sealed answers",
    "models": "check the model packages",
    "evaluate": "measure error rates of a model on labelled images",
    "compare": "compare the faces of two photographs",
    "bench": "measure speed and memory",
    "doctor": "look for what this machine lacks",
}
