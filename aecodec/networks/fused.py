"""Whether the pointwise functions of training, and its search, run as fused kernels, which Triton compiles for CUDA."""

from __future__ import annotations

import functools

from torch import Tensor


def is_fused(x: Tensor) -> bool:
    """Whether they do for tensors on the device of ``x``; without Triton, or with one before 3.3, plain torch serves."""
    return x.is_cuda and _has_triton()


@functools.cache
def _has_triton() -> bool:
    try:
        import triton.language

        return hasattr(triton.language, "gather")
    except ImportError:
        return False
