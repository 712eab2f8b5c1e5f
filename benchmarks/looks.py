"""Compare weights with other codecs by metrics that model an eye, several times as fast as a report of ``aecodec eval``.

    python benchmarks/looks.py KODAK --weights photo [--weights FOLDER ...] [--codecs avif444,avif444-iq,jxl] [--kept looks]

The measures are the terms that training uses, in torch: SSIMULACRA2 and CVVDP agree with their packages to 0.005 points and
0.0001 JOD on pictures whose sides are multiples of 64, which tests/training/test_distortion.py checks. MS-SSIM is taken of
the largest such part. Measurements of the other codecs are kept in a folder (one JSON file a codec) and used again; those
of weights go by their id. Printed are BD-rates on mean curves: of each picture's bits per pixel and values, averaged at
each quality, by pchip over the logarithm of the rate.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from aecodec import weights
from aecodec.codec.encoder import Encoder
from aecodec.eval.bdrate import bd_rate, mean_curve
from aecodec.eval.codecs import Codec, open_codecs
from aecodec.eval.measure import find_pictures, read_picture
from aecodec.metrics import jod_logarithm, mse, psnr, similarity_decibels
from aecodec.quality import index_of_quality
from aecodec.training import cvvdp, ssimulacra2
from aecodec.training.data import to_tensor
from aecodec.training.distortion import MS_SSIM_UNIT, ms_ssim

QUALITIES = (0, 15, 30, 45, 60, 75, 90)
CURVES = {
    "SSIMULACRA2": lambda row: row["ssimulacra2"],
    "CVVDP": lambda row: jod_logarithm(row["jod"]),
    "MS-SSIM": lambda row: similarity_decibels(row["msssim"]),
    "PSNR-RGB": lambda row: row["psnr"],
}
PART = 16  # sides of what MS-SSIM is taken of are multiples of this


@torch.no_grad()
def values(original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """Return each measure of two pictures (H, W, 3), uint8."""
    y, x = (to_tensor(np.array(array)[None], torch.device("cpu")) for array in (original, decoded))
    height, width = (side // PART * PART for side in original.shape[:2])
    similarity = 1 - ms_ssim(x[..., :height, :width], y[..., :height, :width]).item() / MS_SSIM_UNIT
    return {
        "mse": mse(original, decoded), "psnr": psnr(original, decoded), "msssim": similarity,
        "ssimulacra2": ssimulacra2.score(ssimulacra2.weighted_sum(x, y).item()),
        "jod": cvvdp.jod(cvvdp.pooled_difference(x, y).item()),
    }  # fmt: skip


def of_codec(paths: list[Path], codec: Codec) -> list[dict]:
    """Return a row for each picture and quality."""
    rows = []
    for path in paths:
        image = read_picture(path)
        for quality in codec.qualities:
            data = codec.encode(image, quality)
            rows.append(row(path, image, quality, len(data), np.asarray(codec.decode(data).convert("RGB"))))
    return rows


def of_weights(paths: list[Path], name: str) -> list[dict]:
    """Return a row for each picture and quality of aecodec; latents are shown without being decoded."""
    rows = []
    for path in paths:
        image = read_picture(path)
        encoder = Encoder(image, weights=name, device="cpu", strip=True)
        for quality in QUALITIES:
            quantised = encoder.quantise(index_of_quality(quality))
            size = len(encoder.write(quantised).data)
            rows.append(row(path, image, quality, size, encoder.reconstruct(quantised)))
    return rows


def row(path: Path, image: Image.Image, quality: float, size: int, decoded: np.ndarray) -> dict:
    """Return the part of a measurement that is kept."""
    bpp = 8 * size / (image.width * image.height)
    return {"file": path.name, "q": quality, "bpp": bpp, **values(np.asarray(image), decoded)}


def curve(rows: list[dict], names: set[str], measure: str) -> list[tuple[float, float]]:
    """Return the mean curve of the pictures of these names."""
    per_picture: dict[str, list[tuple[float, float]]] = {}
    for each in sorted(rows, key=lambda each: each["q"]):
        if each["file"] in names:
            per_picture.setdefault(each["file"], []).append((each["bpp"], CURVES[measure](each)))
    return [point for point in mean_curve(list(per_picture.values())) if all(map(math.isfinite, point))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", help="files or folders")
    parser.add_argument("--weights", action="append", help="an installed name or a folder")
    parser.add_argument("--codecs", default="avif444,avif444-iq,jxl")
    parser.add_argument("--kept", type=Path, default=Path("looks"), help="folder of measurements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    paths = find_pictures(arguments.pictures)
    codecs, absent = open_codecs(arguments.codecs.split(","))
    for name, reason in absent.items():
        print(f"{name}: {reason}")
    makers = {codec.name: lambda codec=codec: of_codec(paths, codec) for codec in codecs}
    labels = {}
    for name in arguments.weights or ["photo"]:
        labels[name] = f"aecodec-{weights.load(name).id}"
        makers[labels[name]] = lambda name=name: of_weights(paths, name)
    arguments.kept.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, make in makers.items():
        kept = arguments.kept / f"{name}.json"
        rows[name] = json.loads(kept.read_text()) if kept.is_file() else []
        if not {path.name for path in paths} <= {each["file"] for each in rows[name]}:
            rows[name] = make()
            kept.write_text(json.dumps(rows[name]))
    names = {path.name for path in paths}
    print(f"{len(paths)} pictures\n\n| weights | against | " + " | ".join(CURVES) + " |\n|---|---|" + "---|" * len(CURVES))
    for name, label in labels.items():
        for codec in codecs:
            found = [bd_rate(*(curve(rows[which], names, measure) for which in (codec.name, label))) for measure in CURVES]
            print(f"| {name} | {codec.name} | " + " | ".join(f"{rate.percent:+.1f} %" for rate in found) + " |")


if __name__ == "__main__":
    main()
