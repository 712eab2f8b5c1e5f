"""Read the settings of a training run from a TOML file; every key has a default but the data."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from aecodec.defaults import DEFAULT_WEIGHTS
from aecodec.entropy.architecture import Architecture
from aecodec.errors import SettingsError, reason
from aecodec.weights.cards import read_toml
from aecodec.weights.restorer import UNetArchitecture

CONFIGS = Path(__file__).parent / "configs"  # of the installed weights; NAME.toml makes the weights NAME
DISTORTION_TERMS = ("mse", "ms-ssim", "ssimulacra2", "cvvdp")  # ``distortion.py`` has them; this module imports no torch


@dataclass(frozen=True)
class Settings:
    """The settings of one run. A run ends after ``steps`` or ``minutes``, whichever is set.

    data: folders of pictures, searched to any depth; name: of the weights that are written; init: weights (a name, a folder
    or a checkpoint) to start from, of the same architecture or with fewer latents or residual blocks; held_out: share of
    pictures kept for validation, chosen by file name; crop, batch: crops of crop x crop pixels a step; optimiser: see
    ``training/soap.py``; learning_rate: of the transforms, at its peak, with entropy_rate and table_rate as factors for the
    entropy model and the quality tables, and linear_rate for the linear paths (0: they stay fixed; only SOAP can train
    them); warm_up: steps to reach it; decay: the share of the run, at its end, over which it falls; hyper_warm_up: steps
    until hyper-latents cost their full rate; clip: of the gradient's norm; ema: decay of the averaged weights;
    low_quality_bias: crops draw their quality as 100 * u**bias from uniform u; quantise: integer arithmetic in training
    (off: the float twin); distortion: the weight of each term of the codec's distortion (``distortion.py``);
    validate_every, device, seed, threads.

    task: what is trained, the codec or a network that restores; curriculum: the share of a run after which the damage has
    its full strength; unet: the architecture of the network.
    """

    data: tuple[str, ...]
    name: str = DEFAULT_WEIGHTS
    init: str | None = None
    steps: int | None = None
    minutes: float | None = None
    held_out: float = 0.05
    crop: int = 256
    batch: int = 8
    optimiser: Literal["soap", "adam"] = "soap"
    learning_rate: float = 5e-4
    decay: float = 0.4
    entropy_rate: float = 2.0
    table_rate: float = 5.0
    linear_rate: float = 1.0
    warm_up: int = 300
    hyper_warm_up: int = 1500
    clip: float = 1.0
    ema: float = 0.999
    low_quality_bias: float = 1.25
    quantise: bool = True
    distortion: dict[str, float] = field(default_factory=lambda: {"mse": 1.0})
    validate_every: int = 1000
    device: str = "auto"
    seed: int = 0
    threads: int | None = None
    task: Literal["compress", "restore"] = "compress"
    curriculum: float = 0.15
    architecture: Architecture = field(default_factory=Architecture)
    unet: UNetArchitecture = field(default_factory=UNetArchitecture)

    @property
    def trained(self) -> Architecture | UNetArchitecture:
        """Return the architecture of what the task trains."""
        return self.architecture if self.task == "compress" else self.unet

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as TOML can hold them: without the keys that are not set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def configurations() -> dict[str, str]:
    """Return the names of the configurations that come with aecodec, each with the first line of its file."""
    texts = {path.stem: path.read_text("utf-8") for path in CONFIGS.glob("*.toml")}
    return {name: texts[name].partition("\n")[0].lstrip("# ") for name in sorted(texts)}


def locate(name: str | os.PathLike[str]) -> Path:
    """Return the file of a configuration that comes with aecodec, or of a path.

    Raises SettingsError where there is neither.
    """
    name = os.fspath(name)
    if name in configurations():
        return CONFIGS / f"{name}.toml"
    if not os.path.exists(name):
        raise SettingsError(
            f"no configuration {name!r}; there is no such file, and aecodec has {', '.join(configurations())}"
        )
    return Path(name)


def read(path: Path, **overrides: Any) -> Settings:
    """Return settings from a TOML file; ``overrides`` that are not None replace its values.

    Raises SettingsError where the file cannot be read, or a key is missing, unknown or of the wrong type.
    """
    try:
        content = read_toml(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {reason(error)}") from None
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    return make({**content, **{key: value for key, value in overrides.items() if value not in (None, ())}})


def make(content: dict[str, Any]) -> Settings:
    """Return settings from a dictionary. Raises SettingsError as ``read`` does."""
    content = dict(content)
    known = {f.name: f for f in fields(Settings)}
    if unknown := sorted(set(content) - set(known)):
        raise SettingsError(f"unknown key {unknown[0]!r}; the keys are {', '.join(known)}")
    if not content.get("data"):
        raise SettingsError("the key 'data' is missing: a folder of pictures, or a list of folders")
    if isinstance(content["data"], str):
        content["data"] = [content["data"]]
    if isinstance(content["data"], list):
        content["data"] = tuple(content["data"])
    try:
        if isinstance(content.get("architecture"), dict):
            content["architecture"] = Architecture(**content["architecture"])
        if isinstance(content.get("unet"), dict):
            content["unet"] = UNetArchitecture(**content["unet"])
        settings = Settings(**content)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"architecture: {error}") from None
    _check(settings)
    return settings


_NAMES = {
    int: "a whole number", float: "a number", str: "a text", bool: "true or false", tuple[str, ...]: "a list of texts",
    dict[str, float]: "a table of numbers", Architecture: "a table", UNetArchitecture: "a table",
}  # fmt: skip


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of an annotated type. An integer is a number, too; a truth value is none."""
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(part, float) for part in value.values())
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _name(hint: Any) -> str:
    """Return the name of an annotated type, for a message."""
    if isinstance(hint, UnionType):  # with None, which TOML does not have
        hint = get_args(hint)[0]
    return _NAMES.get(hint) or f"one of {', '.join(get_args(hint))}"


_POSITIVE = ("steps", "minutes", "crop", "batch", "learning_rate", "clip", "validate_every", "low_quality_bias")


def _check(settings: Settings) -> None:
    for key in _POSITIVE:
        value = getattr(settings, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
            raise SettingsError(f"{key} must be a positive number, not {value!r}")
    for key, hint in get_type_hints(Settings).items():
        if not _fits(value := getattr(settings, key), hint):
            raise SettingsError(f"{key} must be {_name(hint)}, not {value!r}")
    if settings.steps is None and settings.minutes is None:
        raise SettingsError("one of 'steps' and 'minutes' must be set")
    if settings.crop % 64:
        raise SettingsError(f"crop must be a multiple of 64, not {settings.crop}")
    if not 0 <= settings.curriculum <= 1:
        raise SettingsError(f"curriculum must be a share of the run, 0..1, not {settings.curriculum}")
    for key in ("linear_rate", "warm_up", "hyper_warm_up", "seed"):
        if not getattr(settings, key) >= 0:
            raise SettingsError(f"{key} must be a number of 0 or more, not {getattr(settings, key)!r}")
    if not settings.distortion or any(not weight > 0 for weight in settings.distortion.values()):
        raise SettingsError(f"distortion must give each of its terms a weight above 0, not {settings.distortion!r}")
    if unknown := sorted(set(settings.distortion) - set(DISTORTION_TERMS)):
        raise SettingsError(f"unknown distortion {unknown[0]!r}; the terms are {', '.join(DISTORTION_TERMS)}")
    if settings.threads is not None and settings.threads < 1:
        raise SettingsError(f"threads must be 1 or more, not {settings.threads}")
    if settings.device not in ("auto", "cpu", "cuda") and not settings.device.startswith("cuda:"):
        raise SettingsError(f"device must be auto, cpu or cuda, not {settings.device!r}")
    if not 0 < settings.decay <= 1:
        raise SettingsError(f"decay must be a share of the run, above 0 and at most 1, not {settings.decay}")
    if not 0 <= settings.held_out < 1:
        raise SettingsError(f"held_out must lie in 0..1, not {settings.held_out}")
