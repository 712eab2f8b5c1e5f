"""Carry a picture the whole way to a file's bytes and back, and search for the quality that meets a target.

This room is what a caller imports; it knows nothing of command-line flags or of folders of pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecodec.defaults import DEFAULT_QUALITY, DEFAULT_WEIGHTS, MAX_PIXELS

if TYPE_CHECKING:
    from aecodec.codec.rate_control import Target
    from aecodec.images import reading
    from aecodec.weights import store


def encode(
    image: reading.Source,
    quality: float | None = None,
    *,
    target: Target | None = None,
    lossless: bool = False,
    weights: store.Source | None = None,
    device: str = "auto",
    strip: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    frame: int | None = None,
    hashed: bool = False,
) -> bytes:
    """Return a picture as the bytes of an .aec file; see ``aecodec.encode``."""
    from aecodec.codec import rate_control
    from aecodec.codec.encoder import Encoder, Original
    from aecodec.quality import index_of_quality

    if quality is not None and target is not None:
        raise ValueError("give a quality or a target, not both")
    if not (target is None or isinstance(target, rate_control.Target)):
        raise TypeError(f"target must be a Size, BitsPerPixel, Psnr or Ssimulacra2, not {target!r}")
    if lossless:
        if quality is not None or target is not None:
            raise ValueError("a picture without loss has no quality and no target")
        return Original.open(image, strip=strip, max_pixels=max_pixels, frame=frame).encode().data
    index = index_of_quality(DEFAULT_QUALITY if quality is None else quality)
    opened = DEFAULT_WEIGHTS if weights is None else weights
    encoder = Encoder(image, weights=opened, device=device, strip=strip, max_pixels=max_pixels, frame=frame, hashed=hashed)
    encoded = encoder.encode(index) if target is None else rate_control.meet(encoder, target)[0]
    return encoded.data
