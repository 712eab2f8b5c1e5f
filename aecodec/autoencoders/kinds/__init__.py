"""List the kinds of autoencoders by name; a module each, or two that share one.

A kind is a frozen dataclass: its fields are its options, and ``build`` puts the pieces together. ``Autoencoder`` takes a
name or such an object, say ``Variational(beta=2)``.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

from aecodec.autoencoders.kinds.adversarial import Adversarial
from aecodec.autoencoders.kinds.contractive import Contractive
from aecodec.autoencoders.kinds.conv import Conv
from aecodec.autoencoders.kinds.deep import Deep
from aecodec.autoencoders.kinds.denoising import Denoising
from aecodec.autoencoders.kinds.linear import Linear
from aecodec.autoencoders.kinds.quantised import Quantised
from aecodec.autoencoders.kinds.sparse import Sparse
from aecodec.autoencoders.kinds.variational import Variational
from aecodec.autoencoders.model import Kind
from aecodec.errors import SettingsError

KINDS: dict[str, Kind] = {
    "linear": Linear(),
    "tied": Linear(tied=True),
    "deep": Deep(),
    "stacked": Deep(stacked=True),
    "conv": Conv(),
    "sparse": Sparse(),
    "contractive": Contractive(),
    "denoising": Denoising(),
    "vae": Variational(),
    "beta-vae": Variational(beta=4.0, anneal=0.3),
    "vq-vae": Quantised(),
    "adversarial": Adversarial(),
}

__all__ = [
    "KINDS", "Adversarial", "Contractive", "Conv", "Deep", "Denoising", "Linear", "Quantised", "Sparse", "Variational",
    "name_of", "open_kind", "options_of",
]  # fmt: skip


def open_kind(kind: str | Kind) -> Kind:
    """Return a kind by its name, or as it is. Raises SettingsError for an unknown name."""
    if not isinstance(kind, str):
        return kind
    if kind not in KINDS:
        raise SettingsError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
    return KINDS[kind]


def name_of(kind: str | Kind) -> str:
    """Return the name of a kind: of an object the first one of its class."""
    if isinstance(kind, str):
        return kind
    same = [name for name, each in KINDS.items() if type(each) is type(kind)]
    return next((name for name in same if KINDS[name] == kind), same[0])


def options_of(kind: str | Kind) -> dict[str, Any]:
    """Return the options of a kind as TOML and JSON can hold them."""
    found = asdict(open_kind(kind))  # type: ignore[call-overload]  # a protocol cannot say that it is a dataclass
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def with_options(kind: str | Kind, options: dict[str, Any]) -> Kind:
    """Return a kind with other options. Raises SettingsError for an option that it does not have, or of another type."""
    base = open_kind(kind)
    known = {each.name: getattr(base, each.name) for each in fields(base)}  # type: ignore[arg-type]
    checked = {}
    for key, value in options.items():
        if key not in known:
            raise SettingsError(f"unknown option {key!r} of {name_of(kind)}; it has {', '.join(known) or 'none'}")
        checked[key] = _like(known[key], value, key)
    changed: Kind = replace(base, **checked)  # type: ignore[type-var]
    return changed


def _like(example: Any, value: Any, key: str) -> Any:
    """Return a value of an option in the type that its default has."""
    if isinstance(example, tuple) and isinstance(value, (list, tuple)):
        return tuple(value)
    if isinstance(example, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(example):
        raise SettingsError(f"the option {key} must be like {example!r}, not {value!r}")
    return value
