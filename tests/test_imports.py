"""Packages that are imported in a roundabout way.

The tests check what the import leaves, and compare our entropy coding with compressai's, which is built independently and
needs the ``compressai`` extra.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from aecodec.entropy import rans
from aecodec.entropy.gaussian import LEVELS, cdf_of_level, cdfs, scale_of_level


@pytest.fixture(scope="module")
def compressai():
    from aecodec.imports import import_compressai

    try:
        return import_compressai()
    except ModuleNotFoundError as error:
        pytest.skip(f"the compressai extra is not installed ({error})")


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, LEVELS - 16, count).astype(np.uint8)
    scales = np.array([scale_of_level(level) for level in range(LEVELS)])[levels]
    return np.rint(rng.normal(size=count) * scales).astype(np.int32), levels, scales


@pytest.mark.slow
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


@pytest.mark.slow
def test_cvvdp_is_the_package_itself_and_leaves_no_traces(tmp_path, photo):
    """A JOD of ours would not be the published metric's, or ``import utils`` and a Hugging Face login would break after it.

    The other value is the package's own, by its own ``import`` and ``predict``, in the same process after ours. Ours is
    computed without what docs/evaluation.md says can be left out.
    """
    code = """
import json, os, sys
import numpy as np
from aecodec import imports
from aecodec.metrics import cvvdp

pair = np.load(sys.argv[1])
needless = ("ffmpeg", "imageio", "einops", "huggingface_hub", "pyexr", "matplotlib")
sys.modules.update(dict.fromkeys(needless))  # as if they were not installed
before, path = dict(os.environ), list(sys.path)
ours = cvvdp(*pair)
for name in needless:
    del sys.modules[name]
traces = [name for name in ("pycvvdp", "interp", "third_party") if name in sys.modules]
clean = traces == [] and before == dict(os.environ) and path == sys.path
imports._import_torchvision()
import pycvvdp
metric = pycvvdp.cvvdp(display_name="standard_fhd", quiet=True)
theirs, _ = metric.predict(pair[1], pair[0], dim_order="HWC")
print(json.dumps([ours, theirs.item(), clean, imports.import_cvvdp() is not None, pycvvdp is sys.modules["pycvvdp"]]))
"""
    picture, other = (np.asarray(photo(96, 64, seed=seed)) for seed in (0, 1))
    np.save(tmp_path / "pair.npy", [picture, picture // 2 + other // 2])
    command = [sys.executable, "-c", code, str(tmp_path / "pair.npy")]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ours, theirs, clean, again, theirs_is_still_there = json.loads(out.splitlines()[-1])
    assert 1 < ours < 9.9
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert clean
    assert again
    assert theirs_is_still_there
