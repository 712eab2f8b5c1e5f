"""Import compressai, which aecodec compares itself with, where its own import would fail.

compressai's package imports torchvision, whose Python part registers kernels for ``torchvision::nms`` and friends.  Where
torchvision was built for another torch than the installed one (a CPU torch beside the registry's torchvision, say) its
compiled operators do not load, and the registration raises ``operator torchvision::nms does not exist``.  Declaring the
two operators first is enough: nothing in compressai calls them.  Beside a matching build this module changes nothing.
"""

from __future__ import annotations

from types import ModuleType

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library = None  # the declarations last as long as this object


def import_compressai() -> ModuleType:
    """The compressai package.  Raises ImportError where it is not installed."""
    global _library
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        import torch

        _library = torch.library.Library("torchvision", "DEF")
        for signature in _SIGNATURES:
            _library.define(signature)
    import compressai

    return compressai
