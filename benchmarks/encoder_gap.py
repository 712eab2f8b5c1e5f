"""Measure what a better encoder could save: the shipped one, fitted to the very crops that it then encodes.

    python benchmarks/encoder_gap.py --data FOLDER [--weights photo] [--crops 8] [--steps 200] [--only hyper_analysis]

The networks of the analysis and the hyper-analysis (linear paths stay) learn the crops by heart: the middles of the largest
held-out pictures, 256 pixels each way, at all qualities at once; the decoder stays as it is. A network of this size that
has not seen the crops will gain less. The best latents for each crop may gain more, as this is no search for them and ends
after so many steps. Printed are the rate at equal PSNR over all knots (as in ``compare_runs.py``), and for each crop the
change of R + lambda D in percent of its R, which is about that of the rate at equal error.
"""

from __future__ import annotations

import argparse
import copy
import math
import time

import torch
from torch import Tensor

from aecodec.eval.bdrate import bd_rate
from aecodec.networks.model import Model
from aecodec.quality import INTERVALS
from aecodec.training import data
from aecodec.training.checkpoint import initial_state
from aecodec.training.data import to_tensor
from aecodec.training.loss import lagrangian, lambda_at, rate_and_distortion
from aecodec.training.settings import Settings
from aecodec.training.soap import Soap
from aecodec.training.validation import validate

CROP, BATCH, KNOTS_SHOWN = 256, 8, (0, 2, 4, 8)
WARM_UP, REPORT_EVERY = 10, 50
LINEAR = ("analysis.klt.", "analysis.lap.")


def largest_held_out(folders: list[str], count: int) -> Tensor:
    """Return (count, 3, CROP, CROP), the middles of the held-out pictures of most pixels."""
    held = [path for path in data.find(folders) if data.is_held_out(path.name, Settings.held_out)]
    pictures = data.load(held, print)
    arrays = sorted(pictures.arrays, key=lambda array: -array.size)[:count]
    return to_tensor(data.centres(data.Pictures(arrays, []), count, CROP), torch.device("cpu"))


@torch.no_grad()
def costs(model: Model, x: Tensor, knot: int) -> tuple[Tensor, Tensor]:
    """Return (B,) rates and (B,) R + lambda D at a knot, as the coder quantises."""
    position = torch.full((len(x),), float(knot))
    rate, distortion = rate_and_distortion(model.eval(), x, position)
    return rate, rate + lambda_at(position) * distortion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append")
    parser.add_argument("--weights", default="photo")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--only", choices=("analysis", "hyper_analysis"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    arch, state = initial_state(arguments.weights)
    model = Model(arch)
    model.load_state_dict(state)
    model.quantiser.counting = False
    shipped = copy.deepcopy(model)
    x = largest_held_out(arguments.data, arguments.crops)
    parts = (f"{arguments.only}.",) if arguments.only else ("analysis.", "hyper_analysis.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(parts) and not name.startswith(LINEAR))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser, start = Soap(trained), time.monotonic()
    _, before = validate(shipped.eval(), x)
    for step in range(1, arguments.steps + 1):
        factor = min(1, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / arguments.steps))
        optimiser.param_groups[0]["lr"] = arguments.learning_rate * factor
        position = INTERVALS * torch.rand(BATCH)
        loss = lagrangian(*rate_and_distortion(model.train(), x[torch.randint(len(x), (BATCH,))], position), position)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, Settings.clip)
        optimiser.step()
        if step % REPORT_EVERY == 0 or step == arguments.steps:
            _, curve = validate(model.eval(), x)
            saved = bd_rate(before, curve).percent
            print(f"step {step}, {time.monotonic() - start:.0f} s: rate at equal PSNR {saved:+.2f} %", flush=True)
    for knot in KNOTS_SHOWN:
        rate, cost = costs(shipped, x, knot)
        change = 100 * (costs(model, x, knot)[1] - cost) / rate
        print(
            f"knot {knot}:",
            ", ".join(f"{r:.2f} bpp {c:+.1f} %" for r, c in zip(rate.tolist(), change.tolist(), strict=True)),
        )


if __name__ == "__main__":
    main()
