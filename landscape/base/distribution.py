"""What this package is called where packages are fetched from; `landscape` there is another one."""

from __future__ import annotations

DISTRIBUTION = "landscape-torch"
VERSION = "0.1.0"


def install(extra: str = "", *, upgrade: bool = False) -> str:
    """The command that installs this package, with an extra of it.

    >>> install("hf")
    "pip install 'landscape-torch[hf]'"
    >>> install(upgrade=True)
    'pip install --upgrade landscape-torch'
    """
    option = "--upgrade " if upgrade else ""
    return f"pip install {option}" + (f"'{DISTRIBUTION}[{extra}]'" if extra else DISTRIBUTION)
