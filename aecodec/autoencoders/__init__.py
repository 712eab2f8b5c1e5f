"""Learn a compact code for pictures of one kind: the autoencoder family, as an estimator of scikit-learn.

    from aecodec.autoencoders import Autoencoder
    code = Autoencoder("vae", latent=16).fit_transform(pictures)

A kind (``kinds/``) puts the same few pieces together: an encoder and a decoder (``networks``), a bottleneck between them
(``bottlenecks``), damage to what it sees (``damage``) and a penalty. ``model`` is what they make, ``fitting`` trains it,
``estimator`` is what a caller imports and ``store`` keeps it in a folder. ``coding`` counts what codes cost as bytes,
``measures`` and ``compare`` judge kinds, and ``sheets`` shows them. This room knows nothing of the command line.

Needs the extra ``aecodec[autoencoders]``.
"""

from __future__ import annotations

import importlib.util

from aecodec.errors import MissingPackageError

for _package, _name in (("sklearn", "scikit-learn"), ("torch", "torch")):
    if importlib.util.find_spec(_package) is None:
        raise MissingPackageError("aecodec.autoencoders", _name, "'aecodec[autoencoders]'")

from aecodec.autoencoders.estimator import Autoencoder  # noqa: E402  after the check, whose message helps
from aecodec.autoencoders.kinds import KINDS  # noqa: E402
from aecodec.autoencoders.store import load  # noqa: E402

__all__ = ["KINDS", "Autoencoder", "load"]
