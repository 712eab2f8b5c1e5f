"""Find models by name or id, and read their cards, with the standard library only.

A model is a folder:

    NAME/card.toml            architecture, content hash, training data and results
    NAME/model.safetensors    its tensors, which ``store.py`` opens

The weights id in a file's header is the first 32 bits of the SHA-256 of ``model.safetensors``.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.errors import WeightsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

INSTALLED = Path(__file__).parent
CARD = "card.toml"
TENSORS = "model.safetensors"
RESTORE = "restore"  # the task in the card of a network that restores; that of a codec names none


def names(restoring: bool = False) -> list[str]:
    """Return the names of installed models, the default first; with ``restoring`` of networks that restore instead."""
    found = sorted(path.parent.name for path in INSTALLED.glob(f"*/{CARD}"))
    found = [name for name in found if is_restoring(read_card(INSTALLED / name)) == restoring]
    return sorted(found, key=lambda name: name != DEFAULT_WEIGHTS)


def is_restoring(card: dict[str, Any]) -> bool:
    """Return whether a card describes a network that restores."""
    return card.get("task") == RESTORE


def folder_of(name: str | os.PathLike[str]) -> Path:
    """Return the folder of an installed name, or of a path to a folder that holds a card.

    Raises WeightsError where there is none.
    """
    name = os.fspath(name)
    for folder in (INSTALLED / name, Path(name)):
        if name and os.path.isfile(folder / CARD):
            return folder
    raise WeightsError(f"no weights named {name!r}; installed: {', '.join(names()) or 'none'}")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says. Raises OSError where it cannot be read, ValueError where it is not TOML."""
    return tomllib.loads(path.read_text("utf-8"))


def read_card(folder: Path) -> dict[str, Any]:
    """Return a card as nested dictionaries. Raises WeightsError where it cannot be read."""
    try:
        return read_toml(folder / CARD)
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {folder / CARD}: {error}") from None


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of a tensors file, as a card states it; its first 8 digits are the weights id."""
    return hashlib.sha256(data).hexdigest()


def _by_use() -> Iterator[str]:
    """Yield the names of installed models: first the default, which most files need, before other cards are read."""
    if (INSTALLED / DEFAULT_WEIGHTS / CARD).is_file():
        yield DEFAULT_WEIGHTS
    yield from names()


def locate(identity: str, name: str | os.PathLike[str] | None = None) -> str | os.PathLike[str]:
    """Return the name of the weights with this id: of those installed, or of ``name`` (a name or a folder) if given.

    Raises WeightsError, which names the id, where none has it.
    """
    for candidate in _by_use() if name is None else [name]:
        if read_card(folder_of(candidate)).get("sha256", "")[:8] == identity:
            return candidate
    where = f", which are not installed (installed: {describe()})" if name is None else f"; {name} holds others"
    raise WeightsError(f"the file needs the weights {identity}{where}")


def describe() -> str:
    """Return names and ids of all that is installed, for messages."""
    return ", ".join(f"{name} {read_card(INSTALLED / name).get('sha256', '?')[:8]}" for name in names()) or "none"
