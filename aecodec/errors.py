"""Define all errors that aecodec raises on purpose.

    AecodecError                              what the caller can act on; the message is one line
    |-- BitstreamError (ValueError)           the file is no .aec file, damaged, truncated, or of an unknown version
    |   `-- TruncatedError                    the file ends early
    |-- LimitError (ValueError)               the file or picture is larger than the limit allows
    |-- PictureError (ValueError)             the input is no picture that can be encoded
    |   `-- FramesError                       the picture has several frames, and none is chosen
    |-- WeightsError (LookupError)            the weights asked for are missing, damaged or other than the file needs
    |   |-- NoRestoringWeightsError           no weights of this name are installed for restoration
    |   `-- NotAModelError                    the weights are of a network that restores, not of a codec
    |-- TargetError (ValueError)              no quality meets the target that was asked for
    |-- MissingPackageError (ImportError)     a package that this needs is not installed
    |-- DeviceError (RuntimeError)            the device asked for is not there
    `-- TrainingError (RuntimeError)          a training that cannot begin or go on
        `-- SettingsError (ValueError)        a configuration that cannot be used

Messages state facts. The command line adds which of its options help.
"""

from __future__ import annotations


class AecodecError(Exception):
    """Base of all errors below."""


class BitstreamError(AecodecError, ValueError):
    """The data is not an .aec stream that this version can decode."""


class TruncatedError(BitstreamError):
    """A file that ends early. If it ``has_header``, ``aecodec.decode`` can show what there is of it."""

    def __init__(self, message: str, has_header: bool = True) -> None:
        super().__init__(message, has_header)
        self.has_header = has_header

    def __str__(self) -> str:
        return str(self.args[0])


class LimitError(AecodecError, ValueError):
    """More pixels or bytes than allowed. ``limit`` is the number that is allowed."""

    def __init__(self, message: str, limit: int | None = None) -> None:
        super().__init__(message, limit)
        self.limit = limit

    def __str__(self) -> str:
        return str(self.args[0])


class PictureError(AecodecError, ValueError):
    """Not a picture, or one that cannot be encoded."""


class FramesError(PictureError):
    """A picture of several frames or pages, none of which is chosen."""


class WeightsError(AecodecError, LookupError):
    """Weights that are missing, damaged, or other than a file needs."""


class NoRestoringWeightsError(WeightsError):
    """No network that restores has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no weights named {self.name!r} are installed for restoration"


class NotAModelError(WeightsError):
    """A network that restores, where a codec's model is needed."""


class TargetError(AecodecError, ValueError):
    """A size, bit rate or fidelity that no quality meets."""


class MissingPackageError(AecodecError, ImportError):
    """A package that is not installed. ``purpose`` needs it; ``install`` is the argument for pip."""

    def __init__(self, purpose: str, package: str, install: str | None = None) -> None:
        super().__init__(purpose, package, install)
        self.purpose, self.package, self.install = purpose, package, install or package

    def __str__(self) -> str:
        return f"{self.purpose} needs {self.package}: pip install {self.install}"


class DeviceError(AecodecError, RuntimeError):
    """A device that is not there, or that the installed libraries cannot use."""


class TrainingError(AecodecError, RuntimeError):
    """A training that cannot begin with these pictures, weights and settings, or cannot go on."""


class SettingsError(TrainingError, ValueError):
    """A configuration that cannot be used; the message names the key."""


def reason(error: OSError) -> str:
    """Return the system's message, as the end of a line."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
