"""Choose the number format that is fast where a network is trained."""

from __future__ import annotations

import functools

import torch


@functools.cache
def fast_dtype(device_type: str) -> torch.dtype:
    """Return bfloat16 where a device of this type computes it in hardware, else float32.

    A CPU without AVX-512's or AMX's bfloat16 instructions emulates them, ten to fifty times as slowly as float32.
    """
    if device_type != "cpu":
        return torch.bfloat16
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.bfloat16 if any(check is not None and check() for check in checks) else torch.float32


def autocast(x: torch.Tensor) -> torch.autocast:
    """Return an autocast to ``fast_dtype`` where ``x`` lies; none where that is float32."""
    dtype = fast_dtype(x.device.type)
    return torch.autocast(x.device.type, dtype if dtype != torch.float32 else None, enabled=dtype != torch.float32)
