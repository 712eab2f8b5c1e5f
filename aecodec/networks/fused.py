"""Decide whether pointwise functions and search run in training as fused kernels, which Triton compiles for CUDA."""

from __future__ import annotations

import functools

from torch import Tensor


def is_fused(x: Tensor) -> bool:
    """Return whether they do on the device of ``x``. Without Triton, or with one before 3.3, plain torch is used."""
    return x.is_cuda and _has_triton()


@functools.cache
def _has_triton() -> bool:
    try:
        import triton.language

        return hasattr(triton.language, "gather")
    except ImportError:
        return False
