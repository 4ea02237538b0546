"""A mesh as binary glTF, for web viewers, Blender and slides; needs the extra ``mesh``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from landscape.base.distribution import install
from landscape.plots.ground import colormap_of
from landscape.plots.triangulated import Mesh

# Without a material glTF means bare metal, which viewers show almost black.
_LIT = {
    "name": "surface",
    "doubleSided": True,
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8},
}
_UNLIT = {"name": "paths", "extensions": {"KHR_materials_unlit": {}}}
_TRIANGLES = 4  # glTF's number for them


def gltf_bytes(
    mesh: Mesh, *, colormap: str = "landscape", path_colors: Sequence[str] = ()
) -> bytes:
    """A mesh as one ``.glb`` file.

    The surface has a colour at every vertex, by height, and the metric as the attribute
    ``_LOSS`` (an underscore and its name in capitals), single precision as all of glTF. Paths
    are lines. glTF points y upwards: (α, β, height) becomes (α, height, -β).

    Args:
        mesh: What to write.
        colormap: ``landscape``, or the name of a matplotlib colour map.
        path_colors: One per path; default: white.

    Raises:
        ImportError: If trimesh is not installed; the message says what to do.
    """
    try:
        import trimesh
        from trimesh.exchange.gltf import export_glb
        from trimesh.path.entities import Line
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"glTF needs the package {error.name}: {install('mesh')}; or write a .ply, .obj or "
            ".vtp."
        ) from None
    turned = mesh.vertices[:, [0, 2, 1]] * (1, 1, -1)
    used, corners = np.unique(mesh.triangles, return_inverse=True)
    scene = trimesh.Scene()
    surface = trimesh.Trimesh(
        turned[used],
        corners.reshape(-1, 3),
        vertex_colors=_colors(mesh.vertices[used, 2], colormap),
        vertex_attributes={f"_{mesh.metric.upper()}": mesh.values[used].astype(np.float32)},
        process=False,
    )
    scene.add_geometry(surface, geom_name="surface")
    for k, line in enumerate(mesh.polylines):
        color = np.array([*to_rgb(path_colors[k] if path_colors else "white"), 1.0])
        lines = trimesh.path.Path3D(
            [Line(np.arange(len(line)))],
            turned[line],
            colors=[(255 * _linear(color)).round().astype(np.uint8)],
            process=False,
        )
        scene.add_geometry(lines, geom_name=f"path {k + 1}")
    return export_glb(scene, include_normals=True, tree_postprocessor=_add_materials)


def _colors(heights: np.ndarray, colormap: str) -> np.ndarray:
    """RGBA by height, shape (vertex, 4), bytes; glTF wants linear light, not screen values."""
    share = heights / (heights.max() or 1.0)
    return (255 * _linear(colormap_of(colormap)(share))).round().astype(np.uint8)


def _linear(rgba: np.ndarray) -> np.ndarray:
    """Screen values (sRGB) as shares of light; opacity stays."""
    rgb = rgba[..., :3]
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.concatenate([light, rgba[..., 3:]], axis=-1)


def _add_materials(tree: dict[str, Any]) -> None:
    tree["materials"] = [_LIT, _UNLIT]
    tree["extensionsUsed"] = ["KHR_materials_unlit"]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0 if primitive["mode"] == _TRIANGLES else 1
