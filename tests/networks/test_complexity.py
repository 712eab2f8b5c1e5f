"""The count of multiply-accumulates."""

from __future__ import annotations

import pytest

from aecodec.entropy.architecture import Architecture
from aecodec.networks.complexity import kmac_per_pixel


def test_counts_agree_with_a_count_by_hand():
    """Goals are stated in these units; a wrong count makes every comparison with other codecs wrong."""
    arch = Architecture(
        latents=32,
        width_8=8,
        width_16=8,
        blocks_8=0,
        blocks_16=0,
        decoder_width_8=8,
        decoder_width_16=8,
        decoder_blocks_8=0,
        decoder_blocks_16=0,
        hyper_width=8,
        hyper_latents=4,
        context_width=16,
    )
    costs = kmac_per_pixel(arch)
    lapping = 3 * 2 * 16
    # at 1/8: 192 -> 8; at 1/16: KLT 768 -> 32, 8 -> 8, 8 -> 32
    assert costs["analysis"] * 1000 == pytest.approx(lapping + 192 * 8 * 9 / 64 + (768 * 32 + 8 * 8 * 9 + 8 * 32 * 9) / 256)
    # at 1/16: KLT 32 -> 768, 32 -> 8, 8 -> 4 * 8; at 1/8: 8 -> 192
    assert costs["synthesis"] * 1000 == pytest.approx(
        lapping + (32 * 768 + 32 * 8 * 9 + 8 * 32) / 256 + (8 * 192 * 9 + 8) / 64
    )
    # at 1/64: 4 -> 32; at 1/32: 8 -> 32; at 1/16: 8 -> 8
    assert costs["hyper_synthesis"] * 1000 == pytest.approx(4 * 32 * 9 / 4096 + 8 * 32 * 9 / 1024 + 8 * 8 * 9 / 256)
    # per step: mix, gather, hidden at every position; the last layer for a quarter of the channels
    mix = [8 * 16, 40 * 16, 40 * 16, 40 * 16]
    assert costs["context"] * 1000 == pytest.approx(sum(m + 16 * 9 + 16 * 16 + 16 * 64 / 4 for m in mix) / 256)


@pytest.mark.parametrize("upsampler", ["resize-conv", "transposed"])
def test_every_upsampler_is_counted(upsampler):
    """The comparison of upsamplers is at equal cost, so each must have one."""
    assert kmac_per_pixel(Architecture(upsampler=upsampler))["synthesis"] > 0
