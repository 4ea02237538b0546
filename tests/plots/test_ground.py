"""The map that carries paths: from dark to light, evenly."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from landscape.plots.ground import ground_colormap, ground_colors


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lightness_grows_all_along_the_map(theme):
    linear = np.array([to_rgb(color) for color in ground_colors(theme, 64)]) ** 2.2
    light = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert (light[-1] + 0.05) / (light[0] + 0.05) > 4


def test_the_colormap_is_the_same_map():
    assert ground_colormap().N == 256
    assert ground_colors("light")[0] == "#" + "".join(
        f"{round(255 * c):02x}" for c in ground_colormap()(0)[:3]
    )
    with pytest.raises(ValueError, match="theme must be one of light, dark; not 'sepia'"):
        ground_colors("sepia")
