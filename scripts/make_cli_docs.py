"""Write docs/cli.md from the commands' own help: run it when a command, an option or a help text changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from aecodec.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 100
TITLE = """# The command line

Made from the help of the commands by `scripts/make_cli_docs.py`; change the help, not this page.
"""


def commands(
    command: click.Command, path: str = "aecodec", parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Yield ("aecodec weights show", its help) of a command and of all below it."""
    name = path.rsplit(" ", 1)[-1]
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **command.context_settings)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), f"{path} {name}", context)


def page() -> str:
    """Return the whole page."""
    return TITLE + "".join(f"\n## {path}\n\n```text\n{text}\n```\n" for path, text in commands(main))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
