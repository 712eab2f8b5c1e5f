"""Measure the vectors of ``aecodec features``; docs/features.md has the results.

    python benchmarks/features.py recall FOLDER...        # is a changed picture nearest to its original?
    python benchmarks/features.py duplicates FOLDER       # precision and recall beside pHash and dHash of imagehash
    python benchmarks/features.py labelled FOLDER...      # kNN and a linear probe beside pixels, HOG and LBP
    python benchmarks/features.py speed FOLDER            # .aec files against decoding them and analysing the pixels
    python benchmarks/features.py search                  # the time of a query among 100 000 vectors

``duplicates`` needs imagehash, ``labelled`` scikit-learn and scikit-image. A labelled FOLDER has a subfolder for each
class. With ``--keep FOLDER`` the vectors of ``recall``, ``duplicates`` and ``labelled`` stay there, so that the same
command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

import aecodec
from aecodec.container import bitstream
from aecodec.retrieval import hamming, vectors, whitening

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT = 5  # of so many pictures scripts/fit_features.py leaves one out
Copy = Callable[[Image.Image, np.random.Generator], Image.Image | bytes]


def pictures_in(folders: list[Path], count: int | None = None, held_out: bool = False) -> list[Path]:
    """Return the pictures in folders, or so many of them, drawn at random but always the same.

    ``held_out``: only those to which ``scripts/fit_features.py``, given these folders, does not fit.
    """
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    paths = [path for number, path in enumerate(paths, 1) if not held_out or number % HELD_OUT == 0]
    if count is not None and count < len(paths):
        paths = [paths[k] for k in sorted(np.random.default_rng(0).choice(len(paths), count, replace=False))]
    return paths


def open_at(path: Path, pixels: int) -> Image.Image:
    """Return a picture of so many pixels at most."""
    picture = Image.open(path).convert("RGB")
    return scaled(picture, min(1, (pixels / (picture.width * picture.height)) ** 0.5))


class Describer:
    """What makes vectors, and keeps them in a folder if there is one."""

    def __init__(self, keep: Path | None, pixels: int) -> None:
        self._keep, self._pixels = keep, pixels
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)

    def vector(self, path: Path, name: str, copy: Copy, *seed: int) -> np.ndarray:
        """Return the vector of a picture's copy of this name; what is random in it depends on the seed alone."""
        place = None
        if self._keep is not None:
            key = (whitening.installed().id, self._pixels, path.parent.name, path.name, name, *seed)
            place = self._keep / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.npy"
            if place.exists():
                return np.load(place)
        vector = aecodec.features(copy(open_at(path, self._pixels), np.random.default_rng(seed)))
        if place is not None:
            part = place.with_suffix(".part.npy")
            np.save(part, vector)
            part.replace(place)
        return vector

    def vectors(
        self, paths: list[Path], name: str, copy: Copy, seed: int = 0, numbers: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return the vectors of a copy of each picture, or of those with these numbers."""
        chosen = range(len(paths)) if numbers is None else numbers
        return np.stack([self.vector(paths[number], name, copy, seed, number) for number in chosen])


def as_it_is(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return picture


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def cropped(picture: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Return a picture without a share of its area, cut off anywhere."""
    width, height = (round(side * (1 - share) ** 0.5) for side in picture.size)
    left, top = random.integers(picture.width - width + 1), random.integers(picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


def enhanced(picture: Image.Image, kind: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Image.Image:
    return kind(picture).enhance(factor)


def turned(picture: Image.Image) -> bytes:
    """Return a picture that is stored on its side, with an EXIF that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif.tobytes())


RECALL: dict[str, Copy] = {
    "`.aec`, quality 20": lambda picture, _: aecodec.encode(picture, 20),
    "`.aec`, quality 50": lambda picture, _: aecodec.encode(picture, 50),
    "`.aec`, quality 80": lambda picture, _: aecodec.encode(picture, 80),
    "half size": lambda picture, _: scaled(picture, 0.5),
    "gray": lambda picture, _: picture.convert("L"),
    "JPEG, quality 50": lambda picture, _: saved(picture, "JPEG", quality=50),
    "5 % cropped": lambda picture, random: cropped(picture, 0.05, random),
    "20 % cropped": lambda picture, random: cropped(picture, 0.2, random),
}
DUPLICATES: dict[str, Copy] = {
    "JPEG 30 to 95": lambda picture, random: saved(picture, "JPEG", quality=int(random.integers(30, 96))),
    "WebP 30 to 95": lambda picture, random: saved(picture, "WEBP", quality=int(random.integers(30, 96))),
    "`.aec` 20 to 80": lambda picture, random: aecodec.encode(picture, float(random.integers(20, 81))),
    "scaled by 0.5 to 0.9": lambda picture, random: scaled(picture, random.uniform(0.5, 0.9)),
    "5 % cropped": lambda picture, random: cropped(picture, 0.05, random),
    "10 % cropped": lambda picture, random: cropped(picture, 0.1, random),
    "20 % cropped": lambda picture, random: cropped(picture, 0.2, random),
    "brightness 0.7 to 1.3": lambda picture, random: enhanced(picture, ImageEnhance.Brightness, random.uniform(0.7, 1.3)),
    "saturation 0.3 to 1.8": lambda picture, random: enhanced(picture, ImageEnhance.Color, random.uniform(0.3, 1.8)),
    "gray": lambda picture, _: picture.convert("L"),
    "turned by EXIF": lambda picture, _: turned(picture),
}


def recall(folders: list[Path], pixels: int, count: int | None, fitted: Path | None, keep: Path | None) -> None:
    paths = pictures_in(folders)
    seen = set(pictures_in([fitted])) - set(pictures_in([fitted], held_out=True)) if fitted else set()
    changed = [number for number, path in enumerate(paths) if path not in seen]
    if count is not None and count < len(changed):
        changed = sorted(np.random.default_rng(0).permutation(changed)[:count].tolist())
    describer = Describer(keep, pixels)
    own = describer.vectors(paths, "original", as_it_is)
    print(f"copies of {len(changed)} pictures, of at most {pixels} pixels, compared with {len(paths)} originals\n")
    print("| copy | nearest to its original | similarity to it | to the nearest other |\n|---|---|---|---|")
    for name, copy in RECALL.items():
        similarity = describer.vectors(paths, name, copy, 1, changed) @ own.T
        rows = np.arange(len(changed))
        hits, same = int((similarity.argmax(1) == changed).sum()), similarity[rows, changed]
        similarity[rows, changed] = -1
        medians = f"{np.median(same):.2f} | {np.median(similarity.max(1)):.2f}"
        print(f"| {name} | {hits} of {len(changed)} | {medians} |", flush=True)


def hashes(source: Image.Image | bytes, kind: Callable[[Image.Image], object]) -> object:
    """Return a hash of imagehash, of the pixels that a program that opens the file gets."""
    if isinstance(source, bytes) and source.startswith(bitstream.MAGIC):
        source = aecodec.decode(source)
    return kind(source if isinstance(source, Image.Image) else Image.open(io.BytesIO(source)))


def duplicates(folder: Path, pixels: int, count: int | None, held_out: bool, keep: Path | None) -> None:
    import imagehash

    paths = pictures_in([folder], count, held_out)
    describer = Describer(keep, pixels)
    print(f"{len(paths)} pictures of at most {pixels} pixels, {len(DUPLICATES)} copies of each\n")
    methods: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = {}  # similarities of originals, and of copies to them
    own = describer.vectors(paths, "original", as_it_is)
    found = {name: describer.vectors(paths, name, copy, 2) @ own.T for name, copy in DUPLICATES.items()}
    methods["aecodec"] = own @ own.T, found
    originals = [open_at(path, pixels) for path in paths]
    copies = {
        name: [copy(picture, np.random.default_rng((2, number))) for number, picture in enumerate(originals)]
        for name, copy in DUPLICATES.items()
    }
    for title, kind in (("pHash", imagehash.phash), ("dHash", imagehash.dhash)):

        def bits(sources: list[Image.Image | bytes], kind: Callable[[Image.Image], object] = kind) -> np.ndarray:
            return np.stack([np.asarray(hashes(source, kind).hash).ravel() for source in sources])

        base = bits(originals)
        near = {name: -(bits(sources)[:, None] != base).sum(-1) for name, sources in copies.items()}
        methods[title] = -(base[:, None] != base).sum(-1), near
    thresholds = {"aecodec": [0.7, 0.75, 0.8, 0.85], "pHash": [-6, -10, -14], "dHash": [-6, -10, -14]}
    table = [(title, limit) for title, limits in thresholds.items() for limit in limits]
    print("| | " + " | ".join(f"{title}, {abs(limit)}" for title, limit in table) + " |\n|---|" + "---|" * len(table))
    diagonal = np.eye(len(paths), dtype=bool)
    rows: dict[str, list[str]] = {name: [] for name in copies} | {"recall, all": [], "precision": [], "wrong pairs": []}
    for title, limit in table:
        found = {name: near >= limit for name, near in methods[title][1].items()}
        for name, hit in found.items():
            rows[name].append(f"{hit[diagonal].mean():.1%}")
        right = sum(int(hit[diagonal].sum()) for hit in found.values())
        wrong = sum(int(hit[~diagonal].sum()) for hit in found.values())
        rows["recall, all"].append(f"{right / len(paths) / len(copies):.1%}")
        rows["precision"].append(f"{right / max(1, right + wrong):.1%}")
        rows["wrong pairs"].append(str(wrong))
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


def classes(folder: Path, count: int | None) -> tuple[list[Path], np.ndarray]:
    """Return paths and the number of their class."""
    found = [(path, k) for k, below in enumerate(sorted(p for p in folder.iterdir() if p.is_dir()))
             for path in pictures_in([below], count)]  # fmt: skip
    return [path for path, _ in found], np.array([label for _, label in found])


def labelled(folders: list[Path], pixels: int, count: int | None, keep: Path | None) -> None:
    from skimage.feature import hog, local_binary_pattern
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    def gray(picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.convert("L").resize((128, 128), Image.Resampling.LANCZOS))

    def lbp(picture: Image.Image) -> np.ndarray:
        codes = [local_binary_pattern(gray(picture), 8 * r, r, "uniform") for r in (1, 2, 3)]
        return np.concatenate([np.bincount(c.astype(int).ravel(), minlength=8 * r + 2) / c.size
                               for r, c in zip((1, 2, 3), codes, strict=True)])  # fmt: skip

    def pixel(picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)).ravel() / 255.0

    kinds: dict[str, Callable[[Image.Image], np.ndarray]] = {
        "aecodec": aecodec.features,
        "pixels, PCA 256": pixel,
        "HOG": lambda picture: hog(gray(picture), pixels_per_cell=(16, 16), cells_per_block=(2, 2)),
        "LBP": lbp,
    }
    describer = Describer(keep, pixels)
    for folder in folders:
        paths, labels = classes(folder, count)
        pictures = [open_at(path, pixels) for path in paths]
        print(f"\n{folder.name}: {len(paths)} pictures of {labels.max() + 1} classes, 5-fold cross-validation\n")
        print("| vectors | numbers | 5 nearest neighbours | linear probe |\n|---|---|---|---|")
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        for name, kind in kinds.items():
            own = kind is aecodec.features
            x = describer.vectors(paths, "original", as_it_is) if own else np.stack([kind(each) for each in pictures])
            steps = [PCA(256, random_state=0)] if "PCA" in name else []
            knn = make_pipeline(*steps, KNeighborsClassifier(5, metric="cosine"))
            probe = make_pipeline(*steps, RidgeClassifierCV(np.logspace(-4, 4, 17)))
            scores = [cross_val_score(model, x, labels, cv=folds).mean() for model in (knn, probe)]
            length = 256 if steps else x.shape[1]
            print(f"| {name} | {length} | {scores[0]:.1%} | {scores[1]:.1%} |", flush=True)


def clock(work: Callable[[], object], times: int = 5) -> float:
    """Return the median CPU seconds of a call: others may use the machine."""
    work()
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def speed(folder: Path, pixels: int, count: int | None) -> None:
    print("| picture | vector of the file | decode, then vector of the pixels | ratio |\n|---|---|---|---|")
    for path in pictures_in([folder], count or 3):
        picture = open_at(path, pixels)
        data = aecodec.encode(picture, 60, device="cpu")
        if not vectors.has_usable_latents(bitstream.read(data)):
            continue
        fast = clock(lambda data=data: aecodec.features(data, device="cpu"))
        slow = clock(lambda data=data: aecodec.features(aecodec.decode(data, device="cpu"), device="cpu"))
        size = f"{path.stem}, {picture.width} x {picture.height}"
        print(f"| {size} | {1000 * fast:.0f} ms | {1000 * slow:.0f} ms | {slow / fast:.1f} |", flush=True)


def search(folders: list[Path], pixels: int, count: int | None) -> None:
    """Time queries among 100 000 vectors, made from real ones where folders are given, and count what is found."""
    random = np.random.default_rng(0)
    if folders:
        real = np.stack([aecodec.features(open_at(path, pixels)) for path in pictures_in(folders, count)])
    else:
        real = random.normal(size=(100, whitening.LENGTH)).astype(np.float32)
    total = 100_000
    weights = random.dirichlet([0.3] * 3, total).astype(np.float32)  # mixtures of three real ones each, and noise
    made = np.einsum("nk,nkd->nd", weights, real[random.integers(len(real), size=(total, 3))])
    made += random.normal(size=made.shape).astype(np.float32) * 0.02
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    stored = made.astype(np.float16)
    codes = hamming.encode(made)
    queries = made[random.integers(total, size=50)] + 0.02 * random.normal(size=(50, whitening.LENGTH)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    turn = itertools.cycle(queries)
    seconds = clock(lambda: hamming.search(stored, codes, next(turn), 10), 50)
    hits = [len(set(hamming.search(stored, codes, q, 10)[0].tolist()) & set(np.argsort(-(made @ q))[:10].tolist()))
            for q in queries]  # fmt: skip
    print(f"{total} vectors, numpy {np.__version__}")
    print(f"{1000 * seconds:.1f} ms a query, {np.mean(hits) / 10:.1%} of the exact ten")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["recall", "duplicates", "labelled", "speed", "search"])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--pixels", type=int, default=2**17, help="of a picture at most; larger ones are scaled down")
    parser.add_argument("--pictures", type=int, help="so many; of each class for labelled, changed ones for recall")
    parser.add_argument(
        "--fitted", type=Path, help="the folder that fit_features.py had; recall changes no picture of the fit"
    )
    parser.add_argument("--keep", type=Path, help="a folder for vectors, to go on after an interruption")
    parser.add_argument("--held-out", action="store_true", help="only pictures that the vectors were not fitted to")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    folders, pixels, count, keep = arguments.folders, arguments.pixels, arguments.pictures, arguments.keep
    if arguments.what == "recall":
        recall(folders, pixels, count, arguments.fitted, keep)
    elif arguments.what == "labelled":
        labelled(folders, pixels, count, keep)
    elif arguments.what == "search":
        search(folders, pixels, count)
    elif arguments.what == "duplicates":
        duplicates(folders[0], pixels, count, arguments.held_out, keep)
    else:
        speed(folders[0], pixels, count)


if __name__ == "__main__":
    main()
