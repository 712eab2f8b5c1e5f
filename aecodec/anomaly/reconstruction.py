"""Take for an anomaly what an autoencoder of good pictures cannot reconstruct: the method of the textbooks.

    picture, a square -- encoder -- code -- decoder -- reconstruction
        |                                                   |
        `------------------- difference --------------------'     its mean is the score, its places are the heat

The difference is of pixels, of structure (1 - SSIM), or of the codec's latents. (Bergmann et al., "Improving unsupervised
defect segmentation by applying structural similarity to autoencoders", VISAPP 2019.)  A fifth of the good pictures is left
out of the fit and gives the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.anomaly.codec import Codec
from aecodec.anomaly.method import FOLDS, Fitted, Judgement, Options, Tensors, folds
from aecodec.anomaly.pictures import Pixels, blurred
from aecodec.errors import MissingPackageError

if TYPE_CHECKING:
    from aecodec.autoencoders.estimator import Autoencoder

Floats = NDArray[np.float32]
SMOOTH = 1.0  # pixels of the square
SIGMA = 1.5  # pixels, of the windows of SSIM
CONSTANTS = (0.01, 0.03)  # of SSIM, in levels 0..1


def _pixel_error(before: Pixels, after: Pixels, codec: Codec) -> Floats:
    return blurred(np.square((before.astype(np.float32) - after.astype(np.float32)) / 255).mean(2), SMOOTH)


def _structure_error(before: Pixels, after: Pixels, codec: Codec) -> Floats:
    x, y = (each.mean(2, dtype=np.float32) / 255 for each in (before, after))
    means = blurred(x, SIGMA), blurred(y, SIGMA)
    spreads = blurred(x * x, SIGMA) - means[0] ** 2, blurred(y * y, SIGMA) - means[1] ** 2
    common = blurred(x * y, SIGMA) - means[0] * means[1]
    first, second = (constant**2 for constant in CONSTANTS)
    alike = (2 * means[0] * means[1] + first) * (2 * common + second)
    alike /= (means[0] ** 2 + means[1] ** 2 + first) * (spreads[0] + spreads[1] + second)
    found: Floats = (1 - alike).astype(np.float32)
    return found


def _feature_error(before: Pixels, after: Pixels, codec: Codec) -> Floats:
    found: Floats = np.square(codec.latents(before) - codec.latents(after)).mean(2)
    return found


ERRORS: dict[str, Callable[[Pixels, Pixels, Codec], Floats]] = {
    "pixel": _pixel_error,
    "ssim": _structure_error,
    "feature": _feature_error,
}


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A fitted autoencoder of squares, and a name of ``ERRORS``."""

    estimator: Autoencoder
    error: str
    codec: Codec

    def judge(self, picture: Pixels) -> Judgement:
        square = _square(picture, self.estimator.form_.shape[0])
        found = self.estimator.inverse_transform(self.estimator.transform(square[None]))[0]
        heat = ERRORS[self.error](square, np.rint(found).clip(0, 255).astype(np.uint8), self.codec)
        return Judgement(float(heat.mean()), heat)

    def tensors(self) -> Tensors:
        return {name: tensor.numpy() for name, tensor in self.estimator.model_.state_dict().items()}

    def settings(self) -> dict[str, Any]:
        form = self.estimator.form_
        own = {"shape": list(form.shape), "low": form.low, "high": form.high}
        weights = self.codec.weights.id if self.error == "feature" else None
        return {"error": self.error, "weights": weights, "form": own, "autoencoder": self.estimator.description()}


def opened(tensors: Tensors, settings: dict[str, Any]) -> Reconstruction:
    """Return the method of its tensors and settings. Raises MissingPackageError where torch or scikit-learn is missing."""
    Autoencoder = _estimator()  # noqa: N806  a class
    import torch

    from aecodec.autoencoders.kinds import with_options
    from aecodec.autoencoders.pictures import Form

    own = dict(settings["autoencoder"])
    estimator = Autoencoder(with_options(own.pop("kind"), own.pop("options")), **own)
    form = settings["form"]
    estimator.restore(
        Form(tuple(form["shape"]), form["low"], form["high"]),
        {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()},
    )
    return Reconstruction(estimator, settings["error"], Codec(settings["weights"]))


def fit(pictures: Sequence[Pixels], options: Options, step: Callable[[], object] = lambda: None) -> Fitted:
    """Fit to good pictures; ``step`` is called after each epoch. Raises as ``Autoencoder.fit`` does."""
    squares = np.stack([_square(each, options.square) for each in pictures])
    estimator = _estimator()(
        options.kind, options.latent, epochs=options.epochs, seed=options.seed, device=options.device
    )  # fmt: skip
    kept, left = next(folds(pictures, FOLDS, options.seed))
    for _ in estimator.fit_epochs(squares[kept]):
        step()
    method = Reconstruction(estimator, options.error, Codec(device=options.device))
    judged = [method.judge(squares[place]) for place in left]
    return Fitted(method, np.array([each.score for each in judged]), np.array([each.heat.max() for each in judged]))


def steps(count: int, options: Options) -> int:
    """Return the parts of the work of fitting."""
    return options.epochs


def _estimator() -> type[Autoencoder]:
    try:
        from aecodec.autoencoders.estimator import Autoencoder
    except ModuleNotFoundError as error:
        raise MissingPackageError("reconstruction", "torch and scikit-learn", "'aecodec[autoencoders]'") from error
    return Autoencoder


def _square(picture: Pixels, side: int) -> Pixels:
    """Return a picture squeezed into a square."""
    found: Pixels = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))
    return found
