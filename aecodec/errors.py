"""Everything that aecodec raises on purpose.

    AecodecError                      what the caller can act on; the message is one line
    |-- BitstreamError (ValueError)   the file is no .aec file, damaged, truncated, or of an unknown version
    |   `-- LimitError                the file or picture declares more pixels than the limit allows
    |-- WeightsError (LookupError)    the weights asked for are missing, damaged or other than the file needs
    |-- PictureError (ValueError)     the input is no picture that can be encoded
    `-- TargetError (ValueError)      no quality meets the target that was asked for
"""

from __future__ import annotations


class AecodecError(Exception):
    """Base of all errors below."""


class BitstreamError(AecodecError, ValueError):
    """The data is not an .aec stream that this version can decode."""


class LimitError(BitstreamError):
    """More pixels than allowed."""


class WeightsError(AecodecError, LookupError):
    """Weights that are missing, damaged or foreign."""


class PictureError(AecodecError, ValueError):
    """Not a picture, or one that cannot be encoded."""


class TargetError(AecodecError, ValueError):
    """A size, a bit rate or a fidelity that no quality meets."""
