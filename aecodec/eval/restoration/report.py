"""Write report.html of a restoration: one file that needs no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from aecodec import pages
from aecodec.eval.restoration.measure import Measured
from aecodec.eval.restoration.methods import DAMAGED, OURS
from aecodec.eval.restoration.results import METRICS, Results, lines_on_files, metrics_of

_DIGITS = {"ssim": ".4f", "seconds": ".3f"}


def render(results: Results, measured: Sequence[Measured]) -> str:
    """Return the page: a table of each case, and strips of damaged, ours, the best other, and clean."""
    absent = [(name, f"left out: {why}") for name, why in results["absent"].items()]
    environment = dict(results["environment"])
    environment["versions"] = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    failures = "".join(f"<li>{_text(each['picture'])}: {_text(each['reason'])}</li>" for each in results["failures"])
    parts = {
        "task": _text(results["task"]),
        "ours": OURS,
        "sections": "".join(_section(results, name, measured) for name in results["cases"]),
        "failures": failures and f"<section><h2>What could not be measured</h2><ul>{failures}</ul></section>",
        "made": "".join(
            f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>"
            for key, value in [*results["methods"].items(), *absent, *environment.items()]
        ),
    }
    body = pages.fill(pages.read("aecodec.eval", "restoration.html"), parts)
    style = pages.read("aecodec.eval", "base.css", "restoration.css")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return pages.page(f"Restoration: {results['task']}", style, body, policy)


def _section(results: Results, name: str, measured: Sequence[Measured]) -> str:
    """Return a case: its table, and a strip of four pictures for each that is shown."""
    case, metrics = results["cases"][name], [*metrics_of(results), "seconds"]
    titles = "".join(f"<th>{_text(METRICS.get(metric, metric))}</th>" for metric in metrics)
    rows = ""
    for method, means in case["means"].items():
        cells = "".join(f"<td>{means[metric]:{_DIGITS.get(metric, '.2f')}}</td>" for metric in metrics)
        rows += f"<tr><td>{_text(method)}</td>{cells}</tr>"
    files = "".join(f"<p>{_text(line)}</p>" for line in lines_on_files(case["files"])) if "files" in case else ""
    strips = ""
    for each in measured:
        shown = [method for method in (DAMAGED, OURS, case["best"], "clean") if method in each.parts]
        if each.case != name or not shown:
            continue
        strips += f'<div class="shown">{"".join(_figure(each, method, results["metric"]) for method in shown)}</div>'
    return (
        f'\n<section><h2>{_text(name)}</h2><p class="note">{case["pictures"]} pictures</p><div class="scroll"><table>'
        f"<tr><th>method</th>{titles}</tr>{rows}</table></div>{files}{strips}</section>"
    )


def _figure(each: Measured, method: str, metric: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(each.parts[method]).decode()}"
    caption = f"{each.picture}, {method}"
    if method in each.values:
        caption += f", {each.values[method][metric]:.2f} dB"
    return f'<figure><img src="{source}" alt="{_text(caption)}"><figcaption>{_text(caption)}</figcaption></figure>'


def _text(value: object) -> str:
    return html.escape(str(value))
