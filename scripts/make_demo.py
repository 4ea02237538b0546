"""Make the measurements that `landscape demo` shows: three optimizers on one plane, 200 kB."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from landscape.cli import main as landscape

RESULTS = Path(__file__).parent.parent / "landscape" / "explorer" / "demo.results.h5"
RATES = {"sgd": 0.3, "momentum": 0.05, "adam": 0.005}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="smallest setting; nothing is kept")
    smoke = parser.parse_args().smoke
    steps, size = (5, 3) if smoke else (100, 31)
    runs = " ".join(f"{name}.h5" for name in RATES)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, rate in RATES.items():
            settings = f"--optimizer {name} --lr {rate} --steps {steps}"
            said(f"record digits/mlp-16 {settings} -o {name}.h5")
        said(f"surface {runs} --resolution {size} -o demo.results.h5")
        said(f"path {runs} -o demo.results.h5")
        said("walk adam.h5 --window last --length 20 -o demo.results.h5")
        if not smoke:
            shutil.copyfile("demo.results.h5", RESULTS)
        os.chdir(RESULTS.parent)


def said(line: str) -> None:
    """Run a command line in this process."""
    sys.argv = ["landscape", *line.split()]
    try:
        landscape()
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    main()
