"""Measure how long ``import equicon`` takes after torch and kornia, as a median over fresh processes.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

CODE = """
import time
import torch, kornia
start = time.perf_counter()
import equicon
print(time.perf_counter() - start)
"""


def main(runs: int = 7) -> None:
    seconds = [
        float(subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True).stdout) for _ in range(runs)
    ]
    print(f"import equicon, after torch and kornia: median {statistics.median(seconds):.3f} s of {runs} (goal: 0.1 s)")


if __name__ == "__main__":
    main()
