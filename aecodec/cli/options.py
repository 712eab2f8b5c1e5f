"""Options that several commands share."""

from __future__ import annotations

import click

device = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                      help="Where the networks run.")
threads = click.option("-j", "--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
force = click.option("-f", "--force", is_flag=True, help="Replace existing files.")
output_dir = click.option("--output-dir", type=click.Path(file_okay=False), metavar="DIR",
                          help="Write one file per IN into this folder.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
max_pixels = click.option("--max-pixels", type=click.IntRange(min=1), default=2**28, show_default=True,
                          help="Refuse larger pictures before anything is allocated.")
