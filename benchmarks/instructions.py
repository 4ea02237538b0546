"""Which instructions torch, oneDNN and MKL use of this processor, as each of them says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from landscape.objective.strategies.remembered import processor

_ASK = """
import torch
from torch.nn.functional import conv2d
torch.ones(64, 64) @ torch.ones(64, 64)
conv2d(torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3))
"""


def instructions() -> str:
    """Processor, instruction sets and threads, in one line."""
    told = {**os.environ, "ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", _ASK], env=told, capture_output=True, text=True)
    onednn = re.search(r"cpu,isa:(.*)", done.stdout)
    mkl = re.search(r"64 architecture (.*?)(?: processors)?, Lnx", done.stdout)
    one, two = (found.group(1).strip() if found else "unknown" for found in (onednn, mkl))
    return f"{processor()} in torch, {one} in oneDNN, {two} in MKL; {os.cpu_count()} cores"
