"""Use the vectors of pictures in scikit-learn: ``LatentFeatures`` is a transformer.

    make_pipeline(LatentFeatures(), LogisticRegression()).fit(["a.aec", "b.jpg"], [0, 1])

Needs the package scikit-learn (``pip install 'aecodec[features]'``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aecodec.defaults import MAX_PIXELS
from aecodec.errors import MissingPackageError, PictureError
from aecodec.retrieval.whitening import LENGTH

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import Tags
except ModuleNotFoundError as error:
    raise MissingPackageError("LatentFeatures", "scikit-learn", "'aecodec[features]'") from error

if TYPE_CHECKING:
    from typing_extensions import Self


class LatentFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turn pictures into their vectors (n, 256) float32, as ``aecodec.features`` does.

    Pictures are paths, bytes of files, Pillow images or arrays, in any mixture; of equal size they may be one array
    (n, H, W), (n, H, W, 3) or other channels, uint8. There is nothing to fit. ``device`` and ``max_pixels`` are as in
    ``aecodec.features``. A picture that cannot be read raises an error that names its row.
    """

    def __init__(self, device: str = "auto", max_pixels: int | None = MAX_PIXELS) -> None:
        self.device = device
        self.max_pixels = max_pixels

    def fit(self, X: Iterable[Any], y: object = None) -> Self:  # noqa: N803  scikit-learn's name
        """Do nothing."""
        return self

    def transform(self, X: Iterable[Any]) -> NDArray[np.float32]:  # noqa: N803
        """Return the vectors (n, 256) of n pictures. Raises PictureError with the row of one that cannot be described."""
        from aecodec.retrieval.vectors import describe

        if isinstance(X, (str, bytes, bytearray)) or not isinstance(X, Iterable):
            raise TypeError(f"pictures must be a list or an array of them, not {type(X).__name__}")
        vectors = []
        for row, picture in enumerate(X):
            try:
                vectors.append(describe(picture, device=self.device, max_pixels=self.max_pixels).vector)
            except (ValueError, LookupError, OSError, TypeError) as error:
                raise PictureError(f"row {row}: {error}") from error
        return np.array(vectors, np.float32).reshape(-1, LENGTH)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns, "latentfeatures0" to "latentfeatures255"."""
        return np.array([f"latentfeatures{number}" for number in range(LENGTH)], object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
