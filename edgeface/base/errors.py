"""The one exception base. Each leaf also inherits the nearest built-in and knows its exit code."""

from __future__ import annotations

from typing import ClassVar


class EdgefaceError(Exception):
    """Base of every error that edgeface raises on purpose.

    The message names the file, field or device and the way out; the command line prints it as one
    line and exits with `exit_code`.
    """

    exit_code: ClassVar[int] = 1


class SettingsError(EdgefaceError, ValueError):
    """Raised when a configuration cannot be used; the message has one line for every fault."""

    exit_code: ClassVar[int] = 2


class ModelError(EdgefaceError, ValueError):
    """Raised when a model package is missing, differs from its description or fails its check."""

    exit_code: ClassVar[int] = 3


class RuntimeMissingError(EdgefaceError, ImportError):
    """Raised when no TFLite runtime, delegate or vendor library that was asked for can be used."""

    exit_code: ClassVar[int] = 3


class CameraError(EdgefaceError, OSError):
    """Raised when a frame source cannot be opened or stopped delivering."""

    exit_code: ClassVar[int] = 3


class FrameTimeoutError(CameraError, TimeoutError):
    """Raised when a frame source delivered nothing within the time allowed."""


class EndOfStreamError(CameraError, EOFError):
    """Raised when a finite source (a file, a folder) has played to its end."""


class PictureError(EdgefaceError, ValueError):
    """Raised when a file is no picture that can be used."""

    exit_code: ClassVar[int] = 2


class GalleryError(EdgefaceError, ValueError):
    """Raised when a gallery, a photo to enroll or a gallery operation cannot be used."""


class GalleryLookupError(GalleryError):
    """Raised when the gallery or the person that was to be looked up is not there: no "no"."""

    exit_code: ClassVar[int] = 2


class ContractError(EdgefaceError, ValueError):
    """Raised when a message does not keep the MQTT contract; `reason` is machine-readable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BadIdError(ContractError):
    """Raised for a site, device or user id of the wrong form; ids come from a command line."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__("bad_id", message)


class BrokerError(EdgefaceError, ConnectionError):
    """Raised when the broker cannot be reached or refuses."""

    exit_code: ClassVar[int] = 4


class BrokerFileError(BrokerError):
    """Raised when a certificate, key or password that gives access to the broker cannot be used."""

    exit_code: ClassVar[int] = 2


class NoAnswerError(EdgefaceError, TimeoutError):
    """Raised when a device does not answer in time, or is not there."""

    exit_code: ClassVar[int] = 4


class StateError(EdgefaceError, OSError):
    """Raised when a file of the device's own state (outbox, gallery, keys) cannot be used."""


class NamedFileError(StateError):
    """Raised when a file or folder that a command line or a configuration names cannot be used, nor
    the passphrase that was given for one: a fault of what was given, as a wrong option is."""

    exit_code: ClassVar[int] = 2


class ClosedError(EdgefaceError, RuntimeError):
    """Raised when something is used after `close()`."""


class EvaluationError(EdgefaceError, ValueError):
    """Raised when a protocol, a data set or a request to measure something cannot be used."""

    exit_code: ClassVar[int] = 2
