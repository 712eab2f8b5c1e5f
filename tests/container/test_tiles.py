"""Cutting: every pixel belongs to one tile, and a halo reaches as far as the networks do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from aecodec.container.tiles import TILE, Box, Grid, tile_count, tile_side, whole
from aecodec.entropy.architecture import Architecture

SIDES = st.integers(1, 70)


@given(SIDES, SIDES, st.integers(0, 40), st.data())
def test_a_grid_covers_everything_once(height, width, side, data):
    """A gap is a hole in the picture, an overlap is paid for twice."""
    grid = Grid(whole(height, width), side)
    seen = np.zeros((height, width), int)
    for index, box in enumerate(grid):
        seen[box.slices] += index + 1
    assert len(grid) == len(set(grid)) == tile_count(height, width, side)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    assert sorted(np.unique(seen[box.slices]) - 1) == grid.touching(box)

    def contents(index):
        return np.argwhere(seen == index + 1).reshape(*grid[index].shape, 2)

    assert np.array_equal(grid.assemble(box, contents), np.argwhere(seen).reshape(height, width, 2)[box.slices])


def test_boxes():
    """Off by one here is a shifted picture."""
    box = Box(3, 5, 20, 33)
    assert box.shape == (17, 28)
    assert box.scaled(1, 16) == Box(0, 0, 2, 3)
    assert box.scaled(16) == Box(48, 80, 320, 528)
    assert box.grown(4, whole(22, 100)) == Box(0, 1, 22, 37)
    assert box.relative(Box(2, 2, 50, 50)) == Box(1, 3, 18, 31)
    assert box & Box(10, 0, 12, 6) == Box(10, 5, 12, 6)
    assert not box & Box(20, 5, 30, 33)


def test_only_large_pictures_are_cut():
    """Tiles cost a little at every border, so an ordinary picture is one."""
    assert tile_side(TILE, TILE) == 0
    assert tile_side(TILE + 1, 3) == TILE


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [(0, 0, 0, 0), (3, 2, 2, 2), (1, 3, 3, 1)])
@pytest.mark.parametrize("upsampler", ["pixelshuffle", "resize-conv", "transposed"])
def test_halos_reach_as_far_as_the_networks(upsampler, blocks):
    """A halo that is too small is a seam; one that is too wide costs time."""
    torch = pytest.importorskip("torch")
    from aecodec.networks.transforms import Analysis, Synthesis

    torch.manual_seed(1)
    names = ("blocks_8", "blocks_16", "decoder_blocks_8", "decoder_blocks_16")
    arch = Architecture(latents=8, width_8=4, width_16=4, decoder_width_8=4, decoder_width_16=4, upsampler=upsampler,
                        **dict(zip(names, blocks, strict=True)))  # fmt: skip
    position, size = torch.zeros(1), 2 * max(arch.analysis_halo, arch.synthesis_halo) + 3

    def reach(network, channels, cell_in, cell_out):
        """How many latent positions away from the middle one its output still depends on the input."""
        x = torch.rand(1, channels, cell_in * size, cell_in * size, requires_grad=True)
        middle = slice(size // 2 * cell_out, (size // 2 + 1) * cell_out)
        network(x, position)[..., middle, middle].sum().backward()
        return int((x.grad[0].abs().amax(0).nonzero() // cell_in - size // 2).abs().max())

    assert reach(Analysis(arch), 3, 16, 1) == arch.analysis_halo
    found = reach(Synthesis(arch), arch.latents, 1, 16)
    assert found <= arch.synthesis_halo <= found + (upsampler != "pixelshuffle")
