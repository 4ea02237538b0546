"""Where a number came from: versions, command, commit, hashes and time."""

from __future__ import annotations

import datetime
import hashlib
import platform
import sys
import time
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.commit import commit_of
from landscape.base.distribution import VERSION
from landscape.base.masked import masked_command


def provenance(**more: Any) -> dict[str, Any]:
    """What produced a result: software versions, command line, commit and time, plus `more`.

    Only libraries that are already loaded are named. The commit is that of the working folder
    (the user's experiment); it is left out where there is none, and nothing in the folder is run
    to learn it. What looks like a secret on the command line is masked.

    Args:
        **more: Anything else worth keeping (seed, device, hashes); must be JSON-serialisable.

    Returns:
        A dictionary for a result's `provenance` field.
    """
    loaded = [name for name in ("torch", "numpy", "scipy", "h5py") if name in sys.modules]
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": masked_command(sys.argv),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": {"landscape": VERSION, **{name: version(name) for name in loaded}},
        **({"commit": commit} if (commit := _commit()) else {}),
        **more,
    }


@cache
def version(package: str) -> str:
    """Installed version of `package`, or ``unknown``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def fingerprint(*arrays: np.ndarray) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the arrays' types, shapes and bytes.

    >>> fingerprint(np.zeros(3)) == fingerprint(np.zeros(3))
    True
    >>> fingerprint(np.zeros(3)) == fingerprint(np.zeros((3, 1)))
    False
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()[:16]


def _commit() -> str | None:
    try:
        return _commit_of(Path.cwd(), int(time.monotonic()))
    except OSError:  # the folder is gone
        return None


@lru_cache(maxsize=1)
def _commit_of(folder: Path, second: int) -> str | None:
    """Asked once a second: small results come in thousands."""
    return commit_of(folder)
