"""The still picture of a page, for browsers that run no scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

from landscape.base.result import Result
from landscape.results.projection import Projection
from landscape.results.surface import Surface


def still_picture(sources: Mapping[str, Mapping[str, Result]]) -> str:
    """The first surface with its paths as the address of a small PNG, or ""."""
    placed = [result for results in sources.values() for result in results.values()]
    surface = next((r for r in placed if isinstance(r, Surface)), None)
    if surface is None:
        return ""
    import numpy as np
    from matplotlib.figure import Figure

    from landscape.plots.ground import ground_colormap
    from landscape.plots.style import look

    figure = Figure(figsize=(6.4, 4.4), dpi=90, layout="constrained")
    axes = figure.add_subplot(xlabel=surface.labels[0], ylabel=surface.labels[1])
    values = np.where(surface.computed & np.isfinite(surface.loss), surface.loss, np.nan)
    if np.isfinite(values).any():
        positive = values[values > 0].min(initial=np.inf)
        shown = np.log10(np.maximum(values, positive)) if np.isfinite(positive) else values
        axes.pcolormesh(
            surface.alpha, surface.beta, shown, cmap=ground_colormap(), shading="gouraud"
        )
    plane = surface.provenance.get("plane_hash")
    for path in placed:
        if isinstance(path, Projection) and path.provenance.get("plane_hash") == plane:
            style = look(path.optimizer or path.name)
            axes.plot(*path.coordinates[:, :2].T, style.dash, color=style.color, lw=1.2)
    found = io.BytesIO()
    figure.savefig(found, format="png", pil_kwargs={"optimize": True})
    return f"data:image/png;base64,{base64.b64encode(found.getvalue()).decode('ascii')}"
