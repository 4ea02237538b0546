"""The page's program: ES modules put together into one, in the order in which they import."""

from __future__ import annotations

import re
from importlib.resources import files

_IMPORT = re.compile(r"^import \{[^}]*\} from '\./(\w+)\.js';\n", re.MULTILINE)


def program(entry: str = "file") -> str:
    """One module that does what `entry` and all that it imports do.

    Names are imported as they are exported and no two modules define the same one, so leaving out
    the imports and exports is enough; a name that is defined twice stops the browser at once.

    Raises:
        ValueError: If modules import each other in a circle.
    """
    found: dict[str, str] = {}
    _collect(entry, found, ())
    return "\n".join(found.values())


def _collect(name: str, found: dict[str, str], above: tuple[str, ...]) -> None:
    if name in found:
        return
    if name in above:
        raise ValueError(f"Modules import each other in a circle: {' > '.join((*above, name))}.")
    text = files("landscape.explorer").joinpath("js", f"{name}.js").read_text("utf-8")
    for imported in _IMPORT.findall(text):
        _collect(imported, found, (*above, name))
    found[name] = re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE)
