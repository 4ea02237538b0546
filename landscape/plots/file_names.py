"""What the files of figures are called."""

from __future__ import annotations


def unused(name: str, taken: set[str]) -> str:
    """A file name that no figure before has, in upper or lower case; noted as taken."""
    numbered = (f"{name}-{n}" for n in range(2, len(taken) + 3))
    name = (
        name if name.lower() not in taken else next(n for n in numbered if n.lower() not in taken)
    )
    taken.add(name.lower())
    return name


def slug(name: str) -> str:
    """A file name from a group name: letters, digits, dashes and dots only.

    >>> slug("surface/pca")
    'surface-pca'
    """
    return "".join(c if c.isalnum() or c in "-." else "-" for c in name).strip("-.") or "result"
