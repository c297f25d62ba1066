"""The system call filter of a unit, put over a program as systemd does (seccomp_load(3)).

`python -m tests.support.sandbox NAME,NAME,... -- PROGRAM ...` becomes the program, which can make
no other system calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NO_SUCH_CALL = -1


def allowed_calls(unit: Path) -> set[str]:
    """What the `SystemCallFilter=` lines of a unit leave, its groups resolved by systemd."""
    allowed: set[str] = set()
    for line in unit.read_text().splitlines():
        name, _, value = line.partition("=")
        if name != "SystemCallFilter":
            continue
        if value.startswith("~"):
            allowed -= _resolved(value[1:].split())
        else:
            allowed |= _resolved(value.split())
    return allowed


def _resolved(names: list[str]) -> set[str]:
    groups = [name for name in names if name.startswith("@")]
    found = set(names) - set(groups)
    if groups:
        shown = subprocess.run(
            ["systemd-analyze", "syscall-filter", *groups],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        inside = [line.strip() for line in shown.splitlines() if line.startswith("    ")]
        found |= _resolved([name for name in inside if not name.startswith("#")])
    return found


def confine(names: list[str]) -> None:
    """Refuse this process, and what it becomes, every other system call with EPERM."""
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _NO_SUCH_CALL:  # of another architecture, or newer than this library
            library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), ctypes.c_int(number), 0)
    failed = library.seccomp_load(context)
    if failed:
        raise OSError(-failed, f"seccomp_load: {os.strerror(-failed)}")


if __name__ == "__main__":
    confine(sys.argv[1].split(","))
    os.execvp(sys.argv[3], sys.argv[3:])
