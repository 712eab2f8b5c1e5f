"""Describe a model: every width of every network, read from and written to a weights card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from aecodec.entropy.partition import CONTEXT_STEPS

Upsampler = Literal["pixelshuffle", "resize-conv", "transposed"]

LATENT_STRIDE = 16  # pixels per latent position, each way
HYPER_STRIDE = 4  # latent positions per hyper-latent position, each way
PADDING = LATENT_STRIDE * HYPER_STRIDE  # pictures are padded to a multiple of this
_COUNTS = ("blocks_8", "blocks_16", "decoder_blocks_8", "decoder_blocks_16")  # these may be 0


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of the networks.

    ``width_8`` and ``width_16`` are channels at 1/8 and 1/16 resolution, ``blocks_*`` residual blocks there;
    ``decoder_*`` the same in the synthesis.
    """

    latents: int = 512
    width_8: int = 128
    width_16: int = 192
    blocks_8: int = 4
    blocks_16: int = 3
    decoder_width_8: int = 128
    decoder_width_16: int = 192
    decoder_blocks_8: int = 3
    decoder_blocks_16: int = 3
    hyper_width: int = 128
    hyper_latents: int = 96
    context_width: int = 160
    upsampler: Upsampler = "pixelshuffle"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "upsampler":
                if value not in ("pixelshuffle", "resize-conv", "transposed"):
                    raise ValueError(f"unknown upsampler {value!r}")
            elif not isinstance(value, int) or not (name in _COUNTS or value) or not 0 <= value <= 4096:
                raise ValueError(f"{name} must be an integer in {0 if name in _COUNTS else 1}..4096, not {value!r}")
        if self.latents > 3 * LATENT_STRIDE**2:
            raise ValueError(f"latents must be at most {3 * LATENT_STRIDE**2}, the samples of a block, not {self.latents}")
        if min(self.hyper_width, self.hyper_latents) < 2:
            raise ValueError("hyper_width and hyper_latents must be 2 or more")  # one input channel is a depthwise layer's
        if self.latents % CONTEXT_STEPS:
            raise ValueError(f"latents must be a multiple of {CONTEXT_STEPS}, not {self.latents}")

    @property
    def analysis_halo(self) -> int:
        """Return how many latent positions around one its analysis can depend on: the farthest 3x3 tap."""
        at_8 = 2 + 2 * self.blocks_8  # stem, blocks and the strided convolution
        return -(-at_8 // 2) + 2 * self.blocks_16 + 1

    @property
    def synthesis_halo(self) -> int:
        """Return how many latent positions around a pixel its synthesis can depend on.

        The two pixels of the edge filter are within it.
        """
        at_8 = 2 * self.decoder_blocks_8 + 1
        if self.upsampler != "pixelshuffle":
            at_8 += 2  # their kernels reach across
        return 1 + 2 * self.decoder_blocks_16 + -(-at_8 // 2)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
