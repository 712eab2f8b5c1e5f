"""Look for a GPU to use.

Nothing here imports numpy, because the command line asks before it sets the number of threads.
"""

from __future__ import annotations

import functools
import importlib.util
import os


@functools.cache
def has_driver() -> bool:
    """Return whether an NVIDIA driver is installed."""
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


@functools.cache
def is_usable() -> bool:
    """Return whether torch can compute on a GPU.

    Importing torch to ask takes seconds, so this looks for the driver first.
    """
    if not has_driver() or importlib.util.find_spec("torch") is None:
        return False
    try:
        import torch

        # a card that is too old for this torch is available, too
        return torch.cuda.is_available() and bool((torch.ones(1, device="cuda") + 1 == 2).item())
    except (ImportError, OSError, RuntimeError):  # what a torch that does not fit the driver raises
        return False
