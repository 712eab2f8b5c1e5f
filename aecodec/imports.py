"""Import compressai and cvvdp where their own import would fail or leave traces.

torchvision, which both import, registers kernels for ``torchvision::nms`` and friends. Where it was built for
another torch than the installed one (say, a CPU torch with the registry's torchvision) its compiled operators do not
load, and the registration raises ``operator torchvision::nms does not exist``. Declaring the two operators first is
enough: nothing here calls them. With a matching build this changes nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # the declarations last as long as this object


def import_compressai() -> ModuleType:
    """Return the package compressai. Raises ImportError where it is not installed."""
    _import_torchvision()
    return importlib.import_module("compressai")


def import_cvvdp() -> ModuleType:
    """Return ``pycvvdp.cvvdp_metric`` of the package cvvdp, and leave ``sys.path`` and ``sys.modules`` without its traces.

    Still pictures need that module, torch, torchvision, scipy and tqdm. The package's ``__init__`` imports much more
    (readers of videos with ffmpeg and imageio, networks with einops and huggingface_hub), sets HF_HUB_TOKEN and adds its
    own folder to ``sys.path``, where ``import utils`` would find it. So a bare package stands for it during the import.
    Raises ImportError where one of them is not installed.
    """
    found = importlib.util.find_spec("pycvvdp")
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'pycvvdp'")
    _import_torchvision()
    path, hidden = list(sys.path), _take_cvvdp_modules()
    package, dump = ModuleType("pycvvdp"), ModuleType("pycvvdp.dump_channels")
    package.__path__ = list(found.submodule_search_locations)
    vars(dump)["DumpChannels"] = None  # it writes intermediate results as videos, on request
    try:
        sys.modules.update({"pycvvdp": package, "pycvvdp.dump_channels": dump})
        for name in ("interp", "third_party"):  # by these names, too, it imports parts of its own
            sys.modules[name] = importlib.import_module(f"pycvvdp.{name}")
        return importlib.import_module("pycvvdp.cvvdp_metric")
    finally:
        sys.path[:] = path
        _take_cvvdp_modules()
        sys.modules.update(hidden)


def _take_cvvdp_modules() -> dict[str, ModuleType]:
    """Remove the modules under the top-level names that pycvvdp occupies, and return them by name."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("pycvvdp", "interp", "third_party")]
    return {name: sys.modules.pop(name) for name in names}


def _import_torchvision() -> None:
    """Import torchvision, with its operators declared where they do not load; ImportError where it is not installed."""
    global _library  # noqa: PLW0603  operators are declared as long as it lives
    try:
        import torchvision  # noqa: F401  only to see whether it is there
    except RuntimeError:
        import torch

        _library = torch.library.Library("torchvision", "DEF")
        for signature in _SIGNATURES:
            _library.define(signature)
