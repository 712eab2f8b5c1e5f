"""Our entropy coding held against compressai's, which is built independently.  Needs the ``compressai`` extra."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.entropy import rans
from aecodec.entropy.gaussian import LEVELS, cdf_of_level, cdfs, scale_of_level


@pytest.fixture(scope="module")
def compressai():
    from aecodec.eval.compressai_import import import_compressai

    try:
        return import_compressai()
    except ModuleNotFoundError as error:
        pytest.skip(f"the compressai extra is not installed ({error})")


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, LEVELS - 16, count).astype(np.uint8)
    scales = np.array([scale_of_level(level) for level in range(LEVELS)])[levels]
    return np.rint(rng.normal(size=count) * scales).astype(np.int32), levels, scales


def test_bits_agree_with_compressais_gaussian(compressai):
    """A wrong likelihood would still train, and quietly waste rate in every file."""
    import torch
    from compressai.entropy_models import GaussianConditional

    from aecodec.networks.model import SCALE_MIN, gaussian_bits

    symbols, _, scales = samples(5000)
    x, sigma = torch.from_numpy(symbols).float(), torch.from_numpy(scales).float()
    model = GaussianConditional(None, scale_bound=0.05)
    theirs = -torch.log2(model(x.view(1, 1, -1), sigma.view(1, 1, -1), training=False)[1]).flatten()
    ours = gaussian_bits(x, (sigma / SCALE_MIN).log())
    assert torch.allclose(ours, theirs, atol=2e-3, rtol=2e-3)


def test_our_coder_is_as_short_as_compressais(compressai):
    """The same tables and symbols must not take more bytes than an established rANS coder needs."""
    from compressai import ans

    symbols, levels, _ = samples(20000)
    lists = [cdf_of_level(level).tolist() for level in range(LEVELS)]
    offsets = [-((len(cdf) - 3) // 2) for cdf in lists]
    theirs = ans.RansEncoder().encode_with_indexes(
        symbols.tolist(), levels.astype(int).tolist(), lists, [len(cdf) for cdf in lists], offsets
    )
    ours = rans.encode(symbols, levels, rans.Tables.from_cdfs(cdfs()))
    assert len(ours) <= len(theirs) * 1.001 + 16
