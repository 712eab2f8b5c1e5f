"""Define ``aecodec weights``."""

from __future__ import annotations

import json

import click

from aecodec.cli import options
from aecodec.cli.advice import fail
from aecodec.errors import AecodecError


@click.group()
def weights() -> None:
    """List, show and verify installed weights.

    \b
    aecodec weights list
    aecodec weights show photo
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
def list_(as_json: bool) -> None:
    """List installed weights: the default first, networks that restore last.

    \b
    aecodec weights list
    """
    from aecodec.weights import cards

    for name in [*cards.names(), *cards.names(restoring=True)]:
        card = cards.read_card(cards.INSTALLED / name)
        entry = {"name": name, "id": card.get("sha256", "?")[:8], "purpose": card.get("purpose", "")}
        click.echo(json.dumps(entry) if as_json else "{name:12} {id}  {purpose}".format(**entry).rstrip())


@weights.command()
@options.weights_argument
def show(name: str) -> None:
    """Print the card of installed weights or of a folder, and the cost per pixel.

    \b
    aecodec weights show photo
    """
    try:
        from aecodec import weights as store

        restores = store.is_restoring(store.read_card(store.folder_of(name)))
        opened = store.load_restorer(name) if restores else store.load(name)
        click.echo((opened.folder / store.CARD).read_text("utf-8").rstrip())
    except AecodecError as error:
        fail(error)
    costs = opened.card.get("kmac_per_pixel")
    if costs and not restores:
        shared = costs["hyper_synthesis"] + costs["context"]
        click.echo("\nthousands of multiply-accumulates per pixel, all networks:")
        click.echo(f"  writing {costs['analysis'] + costs['hyper_analysis'] + shared:.1f}")
        click.echo(f"  reading {costs['synthesis'] + shared:.1f}")


@weights.command()
@options.weights_argument
def verify(name: str) -> None:
    """Check weights: content hash, the certificate of exact integer sums, and a known-answer test.

    \b
    aecodec weights verify photo

    The certificate lists, for every integer layer, the largest sum that any input can cause. Below 2**24 float32
    arithmetic is exact, whatever the library, the thread count or the order of summation.
    """
    try:
        from aecodec import weights as store
        from aecodec.entropy.certificate import certify, known_answer

        if store.is_restoring(store.read_card(store.folder_of(name))):
            restorer = store.load_restorer(name)
            click.echo(f"{restorer.name} {restorer.id}: content hash as the card states; it computes in floats")
            return
        opened = store.load(name)
        click.echo(f"{opened.name} {opened.id}: content hash as the card states")
        bounds = certify(opened.entropy_model)
        if bounds != opened.card.get("largest_sums", bounds):
            raise AecodecError("the certificate in the card is not that of these tensors")
        for layer, bound in bounds.items():
            click.echo(f"  {layer:24}{bound:10}  {100 * bound / 2**24:5.1f} % of 2**24")
        # opening the entropy model has already run the test and raised where its answer is not the card's
        stated = "as the card states" if "known_answer" in opened.card else "the card states none"
        click.echo(f"known answer {known_answer(opened.entropy_model)}: {stated}")
    except AecodecError as error:
        fail(error)
