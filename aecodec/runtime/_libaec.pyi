"""``_libaec.c``: libaec's decoder for one set of weights."""

from mmap import mmap

import numpy as np
from numpy.typing import NDArray

BEST: int
PLAIN: int
SSE2_OR_NEON: int
AVX2: int
AVX_VNNI: int
AVX512: int

def info(data: bytes, /) -> tuple[int, int, int, int, int, bytes]: ...
def decode_exact(data: bytes, samples: NDArray[np.uint8] | bytearray, /) -> None: ...
def widen(samples: NDArray[np.uint16] | bytearray, depth: int, /) -> None: ...
def decode_webp(stream: bytes, pixels: NDArray[np.uint32], /) -> None: ...
def preview(
    model: Model | None,
    data: bytes,
    samples: NDArray[np.uint8] | NDArray[np.uint16],
    threads: int,
    depth: int,
    scale: int,
    crop: tuple[int, int, int, int],
    /,
) -> None: ...
def preview_info(data: bytes, /) -> tuple[int, int]: ...

class Model:
    def __new__(cls, data: bytes | mmap, identity: bytes | None, /) -> Model: ...
    def decode_latents(
        self, payload: bytes, latents: NDArray[np.int32], rate: int, rows: int, columns: int, kernels: int, /
    ) -> None: ...
    def synthesise(
        self,
        latents: NDArray[np.int32],
        samples: NDArray[np.uint8] | NDArray[np.uint16],
        rate: int,
        rows: int,
        columns: int,
        threads: int,
        kernels: int,
        depth: int,
        scale: int,
        /,
    ) -> None: ...
    def decode(
        self,
        data: bytes,
        samples: NDArray[np.uint8] | NDArray[np.uint16] | bytearray,
        threads: int,
        kernels: int,
        depth: int,
        scale: int,
        /,
    ) -> None: ...
