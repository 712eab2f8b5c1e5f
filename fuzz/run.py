"""Fuzz one target.

    python fuzz/run.py container -max_total_time=300      # with atheris: options are libFuzzer's
    python fuzz/run.py container --plain 300              # without: random mutations for so many seconds

New inputs are kept in a scratch folder (``--keep FOLDER``: there), crashes in fuzz/crashes/TARGET, where the tests find
them.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
LIMIT = 2.0  # seconds that one input may take


def main(target: str, *options: str) -> None:
    crashes = HERE / "crashes" / target
    crashes.mkdir(parents=True, exist_ok=True)
    if options[:1] == ("--plain",):
        _plain(target, float(options[1]), crashes)
        return
    import atheris

    keep, options = (options[1], options[2:]) if options[:1] == ("--keep",) else (tempfile.mkdtemp(), options)
    with atheris.instrument_imports(include=["aecodec"]):
        import fuzz_targets
    for i, seed in enumerate(fuzz_targets.seeds(target)):
        (Path(keep) / f"seed-{i}").write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], *options, "-timeout=5", "-rss_limit_mb=1500", "-max_len=8192", f"-artifact_prefix={crashes}/",
         keep, *(str(folder) for folder in [HERE / "corpus" / target] if folder.is_dir())],
        fuzz_targets.TARGETS[target],
    )  # fmt: skip
    atheris.Fuzz()


def _plain(target: str, seconds: float, crashes: Path) -> None:
    import fuzz_targets

    corpus = fuzz_targets.seeds(target)
    begin, dice, tried, slowest = time.monotonic(), random.Random(), 0, 0.0
    while time.monotonic() - begin < seconds:
        data = dice.choice(corpus)
        for _ in range(dice.randint(1, 4)):
            data = fuzz_targets.mutate(data, dice)
        start = time.process_time()
        try:
            fuzz_targets.TARGETS[target](data)
        except Exception as error:  # noqa: BLE001  any exception that a target does not expect is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            kept = crashes / f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}"
            if not kept.exists():  # one of each kind
                traceback.print_exc()
                kept.write_bytes(data)
        taken = time.process_time() - start
        if taken > LIMIT:
            (crashes / f"slow-{tried}").write_bytes(data)
        slowest, tried = max(slowest, taken), tried + 1
    print(f"{target}: {tried} inputs in {seconds:g} s, the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
