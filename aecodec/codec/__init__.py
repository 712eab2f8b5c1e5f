"""Carry a picture the whole way to a file's bytes and back, and search for the quality that meets a target.

This room is what a caller imports; it knows nothing of command-line flags or of folders of pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from aecodec.codec.rate_control import Target


def encode(
    image: Image,
    quality: float | None = None,
    *,
    target: Target | None = None,
    weights: str = "photo",
    restore: str | None = None,
    device: str = "auto",
    frame: int | None = None,
) -> bytes:
    """See ``aecodec.encode``."""
    from aecodec.codec import rate_control
    from aecodec.codec.encoder import Encoder
    from aecodec.defaults import DEFAULT_QUALITY
    from aecodec.quality import index_of_quality
    from aecodec.weights.store import restoring

    if quality is not None and target is not None:
        raise ValueError("give a quality or a target, not both")
    if not (target is None or isinstance(target, rate_control.Target)):
        raise TypeError(f"target must be a Size, BitsPerPixel, Psnr or Ssimulacra2, not {target!r}")
    index = index_of_quality(DEFAULT_QUALITY if quality is None else quality)
    opened = weights if restore is None else restoring(restore, weights, "denoise")
    encoder = Encoder(image, weights=opened, device=device, frame=frame)
    encoded = encoder.encode(index) if target is None else rate_control.meet(encoder, target)[0]
    return encoded.data
