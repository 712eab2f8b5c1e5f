"""Run ``aecodec``: the group of commands, and how errors become one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

import click

from aecodec import __version__
from aecodec.cli.shell import INTERRUPTED
from aecodec.errors import reason

COMMANDS = {
    "encode": "encode", "decode": "decode", "info": "info", "verify": "verify", "view": "view",
    "inspect": "inspect",
    "denoise": "denoise", "deblur": "deblur", "upscale": "upscale", "inpaint": "inpaint",
    "features": "features", "similar": "similar", "map": "map",
    "autoencoder": "autoencoder", "anomaly": "anomaly",
    "weights": "weights", "desktop": "desktop", "train": "train", "eval": "eval",
}  # fmt: skip


class LazyGroup(click.Group):
    """A group that imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"aecodec.cli.{COMMANDS[name]}")
        command: click.Command = getattr(module, f"{name}_" if hasattr(module, f"{name}_") else name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("aecodec: interrupted", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="aecodec %(version)s")
def main() -> None:
    """Encode and decode pictures with a learned codec.

    Files are small, one model serves every rate, and a file shows the same pixels on every machine.

    \b
    aecodec encode photo.png photo.aec
    aecodec decode photo.aec decoded.png

    Pictures, outputs and folders may be URLs, such as s3://bucket/photos: pip install 'aecodec[remote]'; docs/scale.md.

    Exit codes: 0 done, 1 at least one file failed, 2 wrong usage, 3 every file that failed is a damaged, truncated or
    unknown .aec or over the limits, 130 interrupted.

    To complete commands, options and files in a shell, put one of these lines into .bashrc, .zshrc or fish's config:

    \b
    eval "$(_AECODEC_COMPLETE=bash_source aecodec)"
    eval "$(_AECODEC_COMPLETE=zsh_source aecodec)"
    _AECODEC_COMPLETE=fish_source aecodec | source
    """


def run() -> None:
    """Run ``main``, and then leave the process without taking it apart.

    Unloading the runtimes takes a sixth of the time of decoding a small picture, and nothing is left to be done by then.
    """
    # tiles are shared out among threads; those of a small matrix product take longer to start than they save
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # OpenVINO's model converter, which no command needs, is half of the time that importing it takes
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # None keeps it from being imported
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except OSError as error:  # what works on files has reported theirs: standard output is left, on a full disk
        with contextlib.suppress(OSError):
            click.echo(f"aecodec: cannot write to standard output: {reason(error)}", err=True)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # or it was closed before we began
            with contextlib.suppress(OSError, ValueError):  # its reader has gone
                stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
