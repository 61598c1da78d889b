"""What ``import sse_tasks`` adds to a kernel: less than 60 ms where IPython is loaded already.

Each round times, each in a new interpreter that has a kernel's modules loaded: our import, and beside it in turns the
imports of what people use for the same purpose. Medians and the fastest, wall clock, modules compiled beforehand.
Run: ``python benchmarks/import_time.py [--runs 15]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

MODULES = ["sse_tasks", "concurrent.futures.process", "ipywidgets", "httpx"]
LIMIT_MS = 60
MEASURE = """
import sys, time
import IPython, IPython.core.magic, ipykernel.kernelapp, ipykernel.ipkernel
before, began = len(sys.modules), time.perf_counter()
import {module}
print((time.perf_counter() - began) * 1e3, len(sys.modules) - before)
"""


def measure(module: str, compiled: str) -> tuple[float, int]:
    """Milliseconds and the number of modules that one import adds."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", MEASURE.format(module=module)], capture_output=True, text=True,
                          check=True, env=environ | {"PYTHONPYCACHEPREFIX": compiled})
    milliseconds, modules = done.stdout.split()
    return float(milliseconds), int(modules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    added: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as compiled:
        for module in MODULES:
            measure(module, compiled)
        for _ in range(runs):
            for module in MODULES:
                milliseconds, added[module] = measure(module, compiled)
                times[module].append(milliseconds)
    print(f"import into a kernel with IPython loaded, {runs} runs: median (fastest), modules added")
    for module, measured in times.items():
        print(f"  {module:28}{statistics.median(measured):6.1f} ms ({min(measured):5.1f}){added[module]:6}")
    kept = statistics.median(times["sse_tasks"]) < LIMIT_MS
    print(f"  limit for sse_tasks: {LIMIT_MS} ms, {'kept' if kept else 'MISSED'}")


if __name__ == "__main__":
    main()
