"""Advise a user of the command line on the library's errors, which state facts."""

from __future__ import annotations

from aecodec.errors import (
    AecodecError,
    DeviceError,
    FramesError,
    LimitError,
    NoRestoringWeightsError,
    NotAModelError,
    TruncatedError,
)


def explain(error: AecodecError) -> str:
    """Return an error's message with the options that help, on one line."""
    advice = _advice(error)
    return f"{error}; {advice}" if advice else str(error)


def _advice(error: AecodecError) -> str:
    if isinstance(error, LimitError):
        return "--max-pixels raises the limit"
    if isinstance(error, TruncatedError):
        return "decode --preview shows what there is of it"
    if isinstance(error, FramesError):
        return "--frame N takes one of them, counted from 0"
    if isinstance(error, NotAModelError):
        return "see encode --restorer"
    if isinstance(error, DeviceError):
        return "use --device cpu"
    if isinstance(error, NoRestoringWeightsError):
        return "give a folder that holds them, or train them: aecodec train restore --data FOLDER -o runs/restore"
    return ""
