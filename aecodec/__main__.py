"""Run ``python -m aecodec``."""

from aecodec.cli.start import run

if __name__ == "__main__":
    run()
