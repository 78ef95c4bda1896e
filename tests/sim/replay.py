"""A simulation in processes of their own: what a program prints, under different hash seeds."""

import os
import subprocess
import sys


def printed(program: str, hash_seeds: tuple[str, ...]) -> set[str]:
    """What `program` prints under each PYTHONHASHSEED: one text, if nothing depends on it."""
    return {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in hash_seeds
    }
