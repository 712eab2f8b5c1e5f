"""Turn a trained model into the tensors of a weights file, and its float half back.

The transforms' networks are stored in int8, their linear paths, which the picture itself goes through, in float16. The
entropy path is stored as the integers that it computes with, and in no other form: the file cannot disagree with what is
coded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecodec.entropy.certificate import certify, known_answer
from aecodec.entropy.entropy_model import HYPER_SCALE_FRAC, EntropyModel, layer_names
from aecodec.entropy.gaussian import LEVELS_PER_NAT
from aecodec.entropy.integer import BIAS_LIMIT, GAIN_FRAC, GAIN_ROWS
from aecodec.entropy.tables import counts_of
from aecodec.errors import WeightsError
from aecodec.networks.activations import fraction_bits
from aecodec.networks.complexity import kmac_per_pixel, unet_kmac_per_pixel
from aecodec.networks.integer import IntegerConv2d, weight_exponents
from aecodec.networks.model import FloatModel, Model
from aecodec.networks.unet import UNet
from aecodec.quality import INTERVALS
from aecodec.weights.cards import CARD, RESTORE, TENSORS, content_hash
from aecodec.weights.restorer import Restorer
from aecodec.weights.store import FRACTION_BITS, SCALE, Weights

LINEAR = ("analysis.klt.weight", "analysis.lap.weight", "synthesis.klt.weight", "synthesis.lap.weight", "synthesis.spread")
COUNTED_BEFORE = 1e5  # symbols that each coding table of a weights file stands for where training goes on from it


def _integer_tensors(layer: IntegerConv2d) -> dict[str, Tensor]:
    exponent = weight_exponents(layer.weight, layer.input_max)
    weight = torch.floor(layer.weight * torch.exp2(exponent)[:, None, None, None] + 0.5)
    bias = torch.round(layer.bias.double() * torch.exp2(exponent + layer.input_frac))
    return {
        "weight": weight.to(torch.int8),
        "bias": bias.clamp(-BIAS_LIMIT, BIAS_LIMIT).to(torch.int32),
        "exponent": exponent.to(torch.int8),
    }


def _float_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float layers as a weights file holds them: float16, or int8 and a scale that ``store.expand`` takes back."""
    tensors = {}
    for name, value in state.items():
        if value.ndim == 4 and name not in LINEAR:
            scale = (value.abs().amax((1, 2, 3)) / 127).clamp_min(1e-6).half()
            tensors[name] = torch.round(value / scale.float()[:, None, None, None]).clamp(-127, 127).to(torch.int8)
            tensors[name + SCALE] = scale
        else:
            tensors[name] = value.half()
    return tensors


@torch.no_grad()
def export_tensors(model: Model) -> dict[str, NDArray[Any]]:
    """Return the tensors of a weights file.

    Raises WeightsError where an integer layer's sums could leave the range that float32 holds exactly.
    """
    with torch.device("meta"):
        half = FloatModel(model.arch).state_dict().keys()
    tensors = _float_tensors({name: value for name, value in model.state_dict().items() if name in half})
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, IntegerConv2d)}
    for name in layer_names():
        for key, value in _integer_tensors(layers[name]).items():
            tensors[f"{name}.{key}"] = value
    gains = model.gain(torch.linspace(0, INTERVALS, GAIN_ROWS))[:, :, 0, 0]
    tensors["mean_gain"] = torch.round(gains * 2**GAIN_FRAC).to(torch.int32)
    scale = model.hyper_scale * LEVELS_PER_NAT * 2**HYPER_SCALE_FRAC
    tensors["hyper_scale"] = torch.round(scale).to(torch.int32)
    tensors["symbol_frequency"] = torch.from_numpy(model.quantiser.frequencies())
    if model.arch.upsampler == "pixelshuffle":  # the one that the format knows
        tensors[FRACTION_BITS] = fraction_bits(model)
    arrays = {name: value.contiguous().numpy() for name, value in tensors.items()}
    certify(EntropyModel.from_tensors(arrays, model.arch))
    return arrays


def load_float_model(weights: Weights) -> FloatModel:
    """Return the float half of a model, in float32 and evaluation mode, on the CPU.

    Raises WeightsError where the tensors do not fit the architecture.
    """
    with torch.device("meta"):
        model = FloatModel(weights.arch)
    state = {name: torch.from_numpy(a.astype(np.float32)) for name, a in weights.tensors.items() if a.dtype.kind == "f"}
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"the weights in {weights.folder} do not fit their architecture: {error}") from None
    return model.eval()


def import_tensors(weights: Weights) -> dict[str, Tensor]:
    """Return a whole model's state from its weights: the inverse of ``export_tensors``, on the stored grids."""
    tensors = {name: torch.from_numpy(array) for name, array in weights.tensors.items()}
    state = {name: value.float() for name, value in tensors.items() if value.is_floating_point()}
    for name in layer_names():
        layer = weights.entropy_model.layers[name]
        scale = torch.exp2(tensors[f"{name}.exponent"].float())
        state[f"{name}.weight"] = tensors[f"{name}.weight"].float() / scale[:, None, None, None]
        state[f"{name}.bias"] = tensors[f"{name}.bias"].float() / (scale * 2**layer.input_frac)
    counts = counts_of(weights.tensors["symbol_frequency"], COUNTED_BEFORE)
    state["quantiser.counts"] = torch.from_numpy(counts)
    state["hyper_scale"] = tensors["hyper_scale"].float() / (LEVELS_PER_NAT * 2**HYPER_SCALE_FRAC)
    return state


def save_weights(model: Model, folder: Path, name: str, card: dict[str, Any]) -> str:
    """Write ``folder`` with the model's tensors and its card, and return the weights id.

    ``card`` adds to name, sha256 and architecture what only the caller knows: data, steps, results.
    """
    from safetensors.numpy import save

    tensors = export_tensors(model)
    data = save(tensors)
    digest = content_hash(data)
    entropy_model = EntropyModel.from_tensors(tensors, model.arch)
    content = {
        "name": name,
        "sha256": digest,
        "known_answer": known_answer(entropy_model),
        **card,
        "kmac_per_pixel": {part: round(cost, 2) for part, cost in kmac_per_pixel(model.arch).items()},
        "architecture": model.arch.to_dict(),
        "largest_sums": certify(entropy_model),
    }
    write_folder(folder, data, content)
    return digest[:8]


def load_unet(restorer: Restorer) -> UNet:
    """Return a restoring network, in evaluation mode, on the CPU.

    Raises WeightsError where the tensors do not fit the architecture.
    """
    with torch.device("meta"):
        network = UNet(restorer.arch)
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in restorer.tensors.items()}, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"the weights in {restorer.folder} do not fit their architecture: {error}") from None
    return network.eval()


def save_unet(network: UNet, folder: Path, name: str, card: dict[str, Any]) -> str:
    """Write ``folder`` with a restoring network and its card, and return its id; ``card`` as for ``save_weights``."""
    from safetensors.numpy import save

    tensors = _float_tensors(network.state_dict())
    data = save({key: value.contiguous().numpy() for key, value in tensors.items()})
    digest = content_hash(data)
    content = {
        "name": name, "sha256": digest, "task": RESTORE, **card,
        "kmac_per_pixel": {"unet": round(unet_kmac_per_pixel(network), 2)}, "architecture": network.arch.to_dict(),
    }  # fmt: skip
    write_folder(folder, data, content)
    return digest[:8]


def write_folder(folder: Path, tensors: bytes, card: dict[str, Any]) -> None:
    """Write both files of a folder of weights, which may replace others, so that neither is ever half written."""
    import tomli_w

    folder.mkdir(parents=True, exist_ok=True)
    contents = {TENSORS: tensors, CARD: tomli_w.dumps(card).encode()}
    for name, content in contents.items():
        (folder / f"{name}.new").write_bytes(content)
    for name in contents:
        (folder / f"{name}.new").replace(folder / name)
