"""A page on disk that shows itself in a notebook."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

_HEIGHT = 860  # pixels
_STILL = re.compile(r'<noscript>.{0,2000}?src="data:image/png;base64,([^"]+)"', re.DOTALL)

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12 only the class of this system can be subclassed


class Page(_Path):
    """The path of an explorer page; a notebook shows the page itself.

    It is a path in every way (`open`, `stat`, `os.fspath`). In a notebook the page is put into a
    frame of its own, as it is (``srcdoc``, sandboxed), so that it is also there when the notebook
    is sent to somebody; where no scripts run, a still picture of it.
    """

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        page = self.read_text("utf-8")
        size = f"{len(page) / 2**20:.1f} MB"
        frame = (
            f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts allow-downloads" '
            f'title="{html.escape(self.name)}" style="width:100%;height:{_HEIGHT}px;border:0;'
            'resize:vertical"></iframe>'
        )
        bundle: dict[str, Any] = {
            "text/plain": f"explorer: {self}, {size}; open it in a browser",
            "text/html": frame,
        }
        if still := _STILL.search(page):
            bundle["image/png"] = base64.b64decode(still[1])
        return bundle
