"""A mesh in a file for ParaView, Blender and the like: PLY, OBJ, VTP or glTF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from landscape.base.files import expanded
from landscape.base.replaceable import check_replaceable
from landscape.plots.gltf import gltf_bytes
from landscape.plots.triangulated import Mesh


def write_mesh(mesh: Mesh, path: str | os.PathLike[str]) -> Path:
    """Write a mesh; the suffix chooses the format, text except for ``.glb``.

    ``.ply``: the metric is a property of the vertices, paths are edges. ``.vtp``: the metric is
    point data, paths are lines. ``.obj``: the metric, scaled to 0 … 1, is the texture coordinate,
    for OBJ knows no attributes; paths are lines. ``.glb``: binary glTF with colours, the metric
    as an attribute and paths as lines; see `gltf_bytes`.

    Raises:
        ValueError: If the suffix is none of these.
        FileExistsError: If something else than a mesh of this kind is there.
        ImportError: If a ``.glb`` is wanted and trimesh is not installed.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> ls.write_mesh(ls.surface_mesh(surface), "surface.ply").name
    'surface.ply'
    """
    path = expanded(path)
    if path.suffix not in _WRITERS:
        raise ValueError(f"A mesh is written as {', '.join(_WRITERS)}; not {path.name!r}.")
    check_replaceable(path)
    written = _WRITERS[path.suffix](mesh)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written if isinstance(written, bytes) else written.encode("ascii"))
    return path


def _ply(mesh: Mesh) -> str:
    edges = [pair for line in mesh.polylines for pair in pairwise(line)]
    head = [
        "ply", "format ascii 1.0", "comment written by landscape",
        f"element vertex {len(mesh.vertices)}",
        *(f"property double {name}" for name in ("x", "y", "z", _word(mesh.metric))),
        f"element face {len(mesh.triangles)}", "property list uchar int vertex_indices",
        f"element edge {len(edges)}", "property int vertex1", "property int vertex2",
        "end_header",
    ]  # fmt: skip
    points = np.column_stack([mesh.vertices, mesh.values])
    faces = np.column_stack([np.full(len(mesh.triangles), 3), mesh.triangles])
    return "\n".join([*head, *_rows(points), *_rows(faces), *_rows(edges), ""])


def _obj(mesh: Mesh) -> str:
    finite = mesh.values[np.isfinite(mesh.values)]
    half = finite.min() / 2  # halves, because the span of two extremes is beyond all numbers
    span = (finite.max() / 2 - half) or 1.0
    texture = np.nan_to_num((mesh.values / 2 - half) / span, posinf=1.0)
    both = np.repeat(mesh.triangles + 1, 2, axis=1).reshape(-1, 3, 2)
    return "\n".join(
        [
            "# written by landscape",
            f"# texture coordinate: {mesh.metric}, from {finite.min():.9g} to {finite.max():.9g}",
            *(f"v {row}" for row in _rows(mesh.vertices)),
            *(f"vt {u:.9g} 0" for u in texture),
            *("f " + " ".join(f"{v}/{t}" for v, t in face) for face in both),
            *("l " + " ".join(map(str, line + 1)) for line in mesh.polylines),
            "",
        ]
    )


def _vtp(mesh: Mesh) -> str:
    def cells(name: str, lists: Sequence[np.ndarray]) -> str:
        ends = np.cumsum([len(item) for item in lists])
        flat = np.concatenate(lists) if len(lists) else np.zeros(0, int)
        return f"<{name}>{_array('connectivity', flat)}{_array('offsets', ends)}</{name}>"

    return (
        '<?xml version="1.0"?>\n<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian">'
        f'\n<PolyData><Piece NumberOfPoints="{len(mesh.vertices)}" NumberOfVerts="0" '
        f'NumberOfLines="{len(mesh.polylines)}" NumberOfStrips="0" '
        f'NumberOfPolys="{len(mesh.triangles)}">\n<PointData Scalars="{_word(mesh.metric)}">'
        f"{_array(_word(mesh.metric), mesh.values)}</PointData>\n<Points>"
        f"{_array('points', mesh.vertices)}</Points>\n"
        f"{cells('Lines', mesh.polylines)}\n{cells('Polys', list(mesh.triangles))}\n"
        "</Piece></PolyData></VTKFile>\n"
    )


def _array(name: str, data: np.ndarray) -> str:
    kind = "Float64" if data.dtype.kind == "f" else "Int64"
    several = f' NumberOfComponents="{data.shape[1]}"' if data.ndim == 2 else ""
    text = "\n".join(_rows(data.reshape(len(data), -1)) if data.size else [])
    return f'<DataArray type="{kind}" Name="{name}"{several} format="ascii">\n{text}\n</DataArray>'


def _rows(table: np.ndarray | Sequence[tuple[int, ...]]) -> list[str]:
    return [" ".join(format(value, ".9g") for value in row) for row in np.asarray(table)]


def _word(name: str) -> str:
    """A name that every format takes: letters, digits and underscores."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name) or "value"


_WRITERS = {".ply": _ply, ".obj": _obj, ".vtp": _vtp, ".glb": gltf_bytes}
