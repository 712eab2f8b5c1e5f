"""Keep a fitted autoencoder in a folder: card.toml, which says what it is, and model.safetensors, checked by its hash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors, save as save_tensors

from aecodec.autoencoders.estimator import Autoencoder
from aecodec.autoencoders.fitting import Epoch
from aecodec.autoencoders.kinds import with_options
from aecodec.autoencoders.pictures import Form
from aecodec.errors import SettingsError, WeightsError
from aecodec.networks.export import write_folder
from aecodec.weights.cards import CARD, TENSORS, content_hash, read_card

FORMAT = "autoencoder"  # what the card of such a folder says it is


def save(estimator: Autoencoder, folder: str | os.PathLike[str], facts: dict[str, Any] | None = None) -> str:
    """Write a fitted estimator into a folder, and return the first digits of its hash; ``facts`` go into the card, too."""
    form, last = estimator.form_, estimator.history_[-1]
    data = save_tensors({name: value.contiguous() for name, value in estimator.model_.state_dict().items()})
    digest = content_hash(data)
    shape = {"shape": list(form.shape), "low": form.low, "high": form.high, "flat": form.flat}
    training = {"epochs": last.epoch, "seconds": round(last.seconds, 1), "loss": last.loss}
    if last.validation is not None:
        training["validation"] = last.validation
    card = {"format": FORMAT, "sha256": digest, **estimator.description(), "form": shape, "training": training}
    write_folder(Path(folder), data, {**card, **(facts or {})})
    return digest[:8]


def load(folder: str | os.PathLike[str], device: str = "auto") -> Autoencoder:
    """Return the estimator that ``save`` wrote into a folder. Raises WeightsError where it is missing or damaged."""
    path = Path(folder)
    if not (path / CARD).is_file():
        raise WeightsError(f"{folder} is not an autoencoder: it has no {CARD}")
    card = read_card(path)
    if card.get("format") != FORMAT:
        raise WeightsError(f"{folder} is not an autoencoder: its card is of something else")
    try:
        data = (path / TENSORS).read_bytes()
        if content_hash(data) != card["sha256"]:
            raise WeightsError(f"{path / TENSORS} is not the file that its card describes")
        names = ("latent", "size", "epochs", "batch", "learning_rate", "loss", "held_out", "seed")
        kind = with_options(card["kind"], card["options"])
        estimator = Autoencoder(kind, device=device, **{name: card[name] for name in names if name in card})
        form, training = card["form"], card["training"]
        last = Epoch(training["epochs"], training["loss"], training.get("validation"), training["seconds"])
        estimator.restore(Form(tuple(form["shape"]), form["low"], form["high"], form["flat"]), load_tensors(data), last)
    except RuntimeError as error:  # torch's, of many lines
        raise WeightsError(f"the tensors in {folder} do not fit what its card says") from error
    except (OSError, KeyError, TypeError, SafetensorError, SettingsError) as error:
        raise WeightsError(f"cannot open the autoencoder in {folder}: {error}") from None
    return estimator
