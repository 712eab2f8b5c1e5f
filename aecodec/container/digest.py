"""Hash decoded samples. This is the body of chunk 'h', by which a decoder proves that it gives the encoder's picture."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.container.bitstream import HASH_BYTES


def of_samples(colour: NDArray[Any], alpha: NDArray[np.uint8] | None) -> bytes:
    """Return the chunk's body for a whole picture: the beginning of the SHA-256 of its samples.

    colour: (H, W) gray or (H, W, 3) RGB, uint8 or, where a sample has more than 8 bits, uint16; alpha: (H, W) or None.
    Colour that alpha hides counts as 0: a writer need not keep it, nor a coder in between.
    """
    if alpha is not None:
        seen = alpha > 0
        colour = colour * (seen if colour.ndim == 2 else seen[..., None])
    digest = hashlib.sha256(np.ascontiguousarray(colour, colour.dtype.newbyteorder("<")).data)
    if alpha is not None:
        digest.update(np.ascontiguousarray(alpha).data)
    return digest.digest()[:HASH_BYTES]
