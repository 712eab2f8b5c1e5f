"""``Autoencoder``, an estimator of scikit-learn over all kinds."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from aecodec.autoencoders import pictures
from aecodec.autoencoders.fitting import Epoch, Settings, fit, seeded
from aecodec.autoencoders.kinds import name_of, open_kind, options_of
from aecodec.autoencoders.losses import open_loss
from aecodec.autoencoders.model import Kind, Model
from aecodec.defaults import MAX_PIXELS
from aecodec.errors import DeviceError, PictureError, SettingsError

if TYPE_CHECKING:
    from typing_extensions import Self

Floats = NDArray[np.float32]
BATCH = 256  # values at a time when nothing is trained


class Autoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Learn a compact code for pictures of one kind, or for rows of a table.

    X is an array of pictures (n, H, W) or (n, H, W, C), a list of paths, Pillow images or uint8 arrays of any sizes, or a
    table (n, d) of numbers, which only dense kinds take. Bytes stand for 0..255; other numbers are scaled by their smallest
    and largest one.

    kind: a name of ``KINDS``, or an object such as ``Variational(beta=2)``; latent: numbers of a code (see the kind:
    "sparse" has more, for "vq-vae" it is the length of a vector at each place); size: the side of the squares that pictures
    are cut and scaled to, None for arrays as they are and 64 for others; epochs, batch, learning_rate: of Adam, at its
    peak; loss: "mse", "bce", "ssim" or "perceptual"; held_out: the share of X that is kept for validation; seed: of
    everything that is drawn; device: "auto", "cpu" or "cuda"; max_pixels: of a picture that is opened.

    After ``fit``: ``model_``, ``form_`` (shape and levels), ``history_`` (a report for each epoch; of a
    model from a folder, for the last one), ``n_features_in_``.
    """

    def __init__(
        self,
        kind: str | Kind = "conv",
        latent: int = 32,
        *,
        size: int | None = None,
        epochs: int = 50,
        batch: int = 64,
        learning_rate: float = 2e-3,
        loss: str = "mse",
        held_out: float = 0.0,
        seed: int = 0,
        device: str = "auto",
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        self.kind = kind
        self.latent = latent
        self.size = size
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.loss = loss
        self.held_out = held_out
        self.seed = seed
        self.device = device
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: N803  scikit-learn's name
        """Learn from X, and return self. Raises PictureError, SettingsError, TrainingError, DeviceError."""
        for _ in self.fit_epochs(X):
            pass
        return self

    def fit_epochs(self, X: Any, folder: Path | None = None) -> Iterator[Epoch]:  # noqa: N803
        """Learn from X with a report after each epoch.

        folder: where log.csv and checkpoints go; an interrupted run goes on from its checkpoint there.
        """
        self._check_parameters()
        array = self._gather(X, reset=True)
        form = pictures.form_of(array, flat=isinstance(X, np.ndarray) and X.ndim == 3)
        inner = form.inward(array)
        held = self._is_held_out(len(inner))
        if held.all():
            raise SettingsError("everything is held out for validation; give more, or held_out=0")
        model = self._new_model(form)
        error = open_loss(self.loss, form.inner)
        settings = Settings(self.epochs, self.batch, self.learning_rate, self.seed)
        run = self.description() | {"values": hashlib.sha256(inner.tobytes()).hexdigest()}
        self.history_: list[Epoch] = []
        with _on(model, self.device) as device:
            train, validation = (torch.from_numpy(inner[which]).to(device) for which in (~held, held))
            for epoch in fit(model, train, validation, error, settings, folder, run):
                self.history_.append(epoch)
                yield epoch
        self.form_, self.model_ = form, model.requires_grad_(False)

    def transform(self, X: Any) -> Floats:  # noqa: N803
        """Return the codes (n, q) of n pictures or rows."""
        return self._map(lambda model, part: model.encode(part), self.values(X))

    def inverse_transform(self, X: Any) -> Floats:  # noqa: N803
        """Return the pictures or rows of codes (n, q), in the levels of what was learned from: 0..255 for bytes."""
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self.model_.length:
            raise ValueError(f"a code has {self.model_.length} numbers, not {codes.shape[1]}")
        return self.form_.outward(self._map(lambda model, part: model.decode(part), codes))

    def score_samples(self, X: Any) -> Floats:  # noqa: N803
        """Return how much pictures or rows are like those learned from, (n,), more is better.

        Minus the loss of their reconstruction, from values in 0..1; for variational kinds the evidence lower bound in nats.
        """
        inner = self.values(X)
        error = open_loss(self.loss, self.form_.inner)
        return self._map(lambda model, part: model.scores(part, error), inner)

    def score(self, X: Any, y: object = None) -> float:  # noqa: N803
        """Return the mean of ``score_samples``."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, seed: int = 0) -> Floats:
        """Return new pictures or rows (n_samples, *shape) of codes drawn from the prior."""
        check_is_fitted(self)
        with seeded(seed), torch.no_grad():
            codes = self.model_.sample(n_samples).numpy()
        return self.inverse_transform(codes)

    def values(self, X: Any) -> Floats:  # noqa: N803
        """Return pictures or rows as the model sees them: (n, C, H, W) or (n, d), 0..1."""
        check_is_fitted(self)
        return self.form_.inward(self._gather(X, reset=False))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns of codes, "autoencoder0" and on."""
        check_is_fitted(self)
        return np.array([f"autoencoder{number}" for number in range(self.model_.length)], object)

    def description(self) -> dict[str, Any]:
        """Return what makes two trainings the same, as TOML can hold it."""
        names = ("latent", "size", "loss", "epochs", "batch", "learning_rate", "held_out", "seed")
        found = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {"kind": name_of(self.kind), **found, "options": options_of(self.kind)}

    def restore(self, form: pictures.Form, tensors: dict[str, Tensor], last: Epoch | None = None) -> None:
        """Become fitted with the tensors of a model. Raises RuntimeError where they do not fit the parameters."""
        model = self._new_model(form)
        model.load_state_dict(tensors)
        self.form_, self.model_, self.history_ = form, model.requires_grad_(False), [last] if last else []
        self.n_features_in_ = int(np.prod(form.shape))

    def _new_model(self, form: pictures.Form) -> Model:
        with seeded(self.seed, -2):
            model = open_kind(self.kind).build(form.inner, self.latent)
        model.bounded = self.loss == "bce"
        return model

    def _check_parameters(self) -> None:
        """Raise SettingsError for numbers that no training can have."""
        for name in ("latent", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.held_out < 1:
            raise SettingsError(f"held_out must be a share below 1, not {self.held_out}")
        if self.learning_rate <= 0:
            raise SettingsError(f"learning_rate must be above 0, not {self.learning_rate}")

    def _gather(self, X: Any, reset: bool) -> NDArray[Any]:  # noqa: N803
        """Return a caller's data as one array (n, H, W, C) or (n, d). Raises PictureError where it is not of the form."""
        if not pictures.is_pictures(X):
            if not reset and len(self.form_.shape) == 3:
                raise PictureError("the model was fitted to pictures, and this is a table or a single name")
            table: NDArray[Any] = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            return table
        channels = None if reset else self.form_.shape[-1]
        size = self.size if reset or isinstance(X, np.ndarray) else self.form_.shape[0]
        array = pictures.gather(X, size, channels, self.max_pixels)
        if reset:
            self.n_features_in_ = int(np.prod(array.shape[1:]))
        elif array.shape[1:] != self.form_.shape:
            raise PictureError(f"pictures must be {self.form_.shape}, as those of fit, not {array.shape[1:]}")
        return array

    def _map(self, function: Any, values: Floats) -> Floats:
        """Return what a function of model and batch gives for all values, batch by batch."""
        with _on(self.model_, self.device) as device, torch.no_grad():
            found = [function(self.model_.eval(), part.to(device)).cpu() for part in torch.from_numpy(values).split(BATCH)]
        return torch.cat(found).numpy()

    def _is_held_out(self, count: int) -> NDArray[np.bool_]:
        """Return which of the data are for validation, (n,): drawn by the seed."""
        held = np.zeros(count, bool)
        held[np.random.default_rng(self.seed).permutation(count)[: round(self.held_out * count)]] = True
        return held

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.three_d_array = True
        return tags


@contextlib.contextmanager
def _on(model: Model, name: str) -> Iterator[torch.device]:
    """Move a model to a device and, at the end, back to the CPU.  Raises DeviceError where there is none of this name."""
    found = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not found:
        raise DeviceError("there is no CUDA device")
    device = torch.device("cuda" if name != "cpu" and found else "cpu")
    try:
        model.to(device)
        yield device
    finally:
        model.to("cpu")
