"""The command `edgeface`: chooses the verb, and turns errors into one line and an exit code.

A verb's module has its name, `add_arguments(parser)` and `run(args) -> int`, unless what it adds
sets a `run` of its own. It is imported only when its verb was chosen, so that `edgeface --help`
costs no import of numpy or OpenCV.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from edgeface import __version__
from edgeface.base.errors import EdgefaceError
from edgeface.cli.plain import plain
from edgeface.cli.vendor_lines import vendor_lines

VERBS: Final[dict[str, str]] = {
    "run": "run the daemon",
    "demo": "show the main job with a broker, a daemon and a door",
    "door": "run the reference door controller",
    "top": "show the devices of a site, or one of them, live",
    "events": "list decisions: recorded ones, or as a site sends them",
    "call": "ask a device over MQTT: ping, verify, enroll, why, ...",
    "enroll": "enroll a person from photographs",
    "gallery": "list, show, remove, export, import or audit people",
    "fleet": "look after one gallery for all devices of a site",
    "config": "check or show a configuration, or print its schema",
    "certs": "make the fleet's certificates and access list",
    "keys": "make the administrator's key pair for sealed answers",
    "models": "make, check and show model packages",
    "evaluate": "measure error rates of a model on labeled images",
    "matrix": "compare many faces, each with every other, in a picture",
    "map": "show the faces of a folder in the plane, by likeness",
    "embed": "embed every picture of a folder into one file",
    "compare": "compare the faces of two photographs",
    "inspect": "show what the models see in a picture or a video",
    "identify": "say who of the gallery is on a photograph, or nobody",
    "verify": "say whether a photograph would open the door for a person",
    "bench": "measure speed and memory",
    "doctor": "look for what this machine lacks",
}
"""Each with its line of help."""

WRONG_COMMAND_LINE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

ONE_BLAS_THREAD = ("run", "bench")
"""Verbs whose matching must not spread over the cores: OpenBLAS would start a thread for each, and
they take from the models while they wait for each other. The systemd unit says so too; a daemon
that was started by hand is to be the same."""


class VerbParser(argparse.ArgumentParser):
    """Imports its verb's module only when the verb was chosen."""

    def __init__(self, *, module: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._module = module

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._module is not None:
            module = importlib.import_module(f"edgeface.cli.{self._module}")
            self._module = None
            self.description = module.__doc__
            self.formatter_class = argparse.RawDescriptionHelpFormatter
            self.set_defaults(run=vars(module).get("run"))
            vars(module).get("add_arguments", lambda _: None)(self)
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:  # told here, with the usage of this verb
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def build_parser() -> argparse.ArgumentParser:
    """The parser with every verb's line of help."""
    parser = argparse.ArgumentParser(
        prog="edgeface",
        description="Recognizes faces at a door, on the device, and tells it over MQTT.",
        epilog="'edgeface VERB --help' shows the arguments of a verb.",
    )
    parser.add_argument("--version", action="version", version=f"edgeface {__version__}")
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", title="verbs", required=True, parser_class=VerbParser
    )
    for name, text in VERBS.items():
        verbs.add_parser(name, help=text, module=name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code of the process.

    An `EdgefaceError` becomes `edgeface: error: MESSAGE` on standard error, one such line for
    every line of the message, and the error's own exit code. A wrong command line ends in
    argparse's usage and code 2, an empty one in the list of verbs. Ctrl-C is 130, also while the
    verb's module is imported, which takes a second on a Pi.
    """
    _mend_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen in ONE_BLAS_THREAD:
        # OpenBLAS reads it once, when numpy is first imported: that is with the verb's module.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        parser = build_parser()
        if not arguments:
            parser.print_help(sys.stderr)
            return WRONG_COMMAND_LINE
        args = parser.parse_args(arguments)
        with vendor_lines(args.verb):
            code: int = args.run(args)
        sys.stdout.flush()
        return code
    except EdgefaceError as error:
        _tell(str(error) or type(error).__name__)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        _discard_what_nobody_takes()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _tell(f"the output cannot be written: {error.strerror}")
        _discard_what_nobody_takes()
        return 1


def _mend_streams() -> None:
    """Make standard output take every text, and give a closed stream a place that nobody reads: the
    next file that is opened would get its number, and what is printed would go into that file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_RDWR)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names may hold what the terminal's encoding has not, paths what no encoding has.
        sys.stdout.reconfigure(errors="backslashreplace")


def _tell(message: str) -> None:
    with contextlib.suppress(OSError):  # the status says it as well
        for line in message.splitlines():
            print(f"edgeface: error: {plain(line)}", file=sys.stderr)


def _discard_what_nobody_takes() -> None:
    """Keep the interpreter from complaining at exit of what it could not write."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
