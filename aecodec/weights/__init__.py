"""Find and open models: ``cards`` reads what is written about them, ``store`` opens their tensors.

This room does not know how the networks are computed. The functions of ``store`` and ``restorer``, which import numpy, are
loaded when they are first used, so that the command line can list models quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aecodec.weights.cards import (
    CARD,
    TENSORS,
    content_hash,
    describe,
    folder_of,
    is_restoring,
    locate,
    names,
    read_card,
)

if TYPE_CHECKING:
    from aecodec.weights.restorer import Restorer, load_restorer
    from aecodec.weights.store import Weights, find, load

__all__ = [
    "CARD",
    "TENSORS",
    "Restorer",
    "Weights",
    "content_hash",
    "describe",
    "find",
    "folder_of",
    "is_restoring",
    "load",
    "load_restorer",
    "locate",
    "names",
    "read_card",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "restorer" if "estorer" in name else "store"
    return getattr(importlib.import_module(f"aecodec.weights.{module}"), name)
