"""Meshes: the right vertices in the right places, read back by other programs."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from test_plots import make_path, make_surface

import landscape as ls
from landscape.plots.mesh import write_mesh
from landscape.plots.triangulated import surface_mesh

# 4 β by 3 α, no symmetry, no two values alike
VALUES = np.exp(np.array([[0.0, 1, 2], [3, 5, 4], [6, 8, 7], [9, 10, 11]]))


def mesh(**changes):
    return surface_mesh(
        make_surface(VALUES, **changes), paths=[make_path()], ceiling=float(np.exp(11)), height=0.5
    )


def test_vertices_lie_at_their_coordinates():
    made = mesh()
    surface = make_surface(VALUES)
    for j in range(4):
        for i in range(3):
            # log heights: 0 at the minimum, half of the longer side (6) at the ceiling exp(11)
            expected = [surface.alpha[i], surface.beta[j], 3.0 * np.log(VALUES[j, i]) / 11]
            np.testing.assert_allclose(made.vertices[3 * j + i], expected, atol=1e-12)
    np.testing.assert_array_equal(made.values[:12], VALUES.ravel())
    assert made.triangles.shape == (12, 3)


def test_triangles_face_upwards_and_cover_the_plane():
    made = mesh()
    a, b, c = np.moveaxis(made.vertices[made.triangles][..., :2], 1, 0)
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (areas > 0).all()
    assert areas.sum() / 2 == pytest.approx(6.0)  # the box [-2, 4] x [0, 1]


def test_what_is_missing_or_above_the_ceiling_has_no_triangles():
    values = VALUES.copy()
    values[0, 0] = np.nan
    # The cell of the missing corner loses both triangles (both have that corner).
    top = float(np.exp(11))
    assert len(surface_mesh(make_surface(values), ceiling=top).triangles) == 10
    low = surface_mesh(make_surface(VALUES), ceiling=float(np.exp(5.5)))
    assert len(low.triangles) == 8  # the last row of cells has corners above only
    assert np.isfinite(low.vertices).all()


def test_paths_are_polylines_on_the_surface():
    made = mesh()
    (line,) = made.polylines
    np.testing.assert_allclose(made.vertices[line][:, :2], make_path().coordinates)
    low, high = made.values[:12].min(), made.values[:12].max()
    assert ((made.values[line] > low) & (made.values[line] < high)).all()


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_trimesh_reads_the_same_mesh(tmp_path, suffix):
    trimesh = pytest.importorskip("trimesh")
    made = mesh()
    read = trimesh.load(
        write_mesh(made, tmp_path / f"m{suffix}"), process=False, maintain_order=True
    )
    if not hasattr(read, "faces"):
        (read,) = (g for g in read.geometry.values() if hasattr(g, "faces"))
    corners = np.asarray(read.vertices)[np.asarray(read.faces)]
    # nine significant digits are written
    np.testing.assert_allclose(corners, made.vertices[made.triangles], rtol=1e-8, atol=1e-8)


def test_ply_holds_the_values_and_the_edges(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    made = mesh()
    read = trimesh.load(write_mesh(made, tmp_path / "m.ply"), process=False)
    raw = read.metadata["_ply_raw"]
    np.testing.assert_allclose(
        np.asarray(raw["vertex"]["data"]["loss"]).ravel(), made.values, rtol=1e-8
    )
    ends = [np.asarray(raw["edge"]["data"][f"vertex{k}"]).ravel() for k in (1, 2)]
    np.testing.assert_array_equal(ends, [made.polylines[0][:-1], made.polylines[0][1:]])


def test_vtp_holds_points_values_lines_and_triangles(tmp_path):
    made = mesh()
    piece = ET.parse(write_mesh(made, tmp_path / "m.vtp")).find(".//Piece")

    def numbers(place: str) -> np.ndarray:
        return np.array(piece.find(place).text.split(), float)

    np.testing.assert_allclose(
        numbers("Points/DataArray").reshape(-1, 3), made.vertices, rtol=1e-8, atol=1e-8
    )
    np.testing.assert_allclose(numbers("PointData/DataArray[@Name='loss']"), made.values, rtol=1e-8)
    np.testing.assert_array_equal(
        numbers("Polys/DataArray[@Name='connectivity']").reshape(-1, 3), made.triangles
    )
    np.testing.assert_array_equal(numbers("Lines/DataArray[@Name='offsets']"), [3])


def test_vtk_reads_the_vtp_file(tmp_path):
    xml = pytest.importorskip("vtkmodules.vtkIOXML", reason="needs landscape[readers]")
    from vtkmodules.util.numpy_support import vtk_to_numpy

    made = mesh()
    reader = xml.vtkXMLPolyDataReader()
    reader.SetFileName(str(write_mesh(made, tmp_path / "m.vtp")))
    reader.Update()
    read = reader.GetOutput()
    # nine significant digits are written
    np.testing.assert_allclose(
        vtk_to_numpy(read.GetPoints().GetData()), made.vertices, rtol=1e-8, atol=1e-8
    )
    np.testing.assert_allclose(
        vtk_to_numpy(read.GetPointData().GetArray("loss")), made.values, rtol=1e-8
    )
    corners = vtk_to_numpy(read.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    np.testing.assert_array_equal(corners, made.triangles)
    (line,) = made.polylines
    np.testing.assert_array_equal(vtk_to_numpy(read.GetLines().GetConnectivityArray()), line)


def test_vtk_reads_the_gltf_file(tmp_path):
    """Single precision; y points upwards: (α, β, height) is (α, height, -β) in the file."""
    pytest.importorskip("trimesh")
    geometry = pytest.importorskip("vtkmodules.vtkIOGeometry", reason="needs landscape[readers]")
    from vtkmodules.util.numpy_support import vtk_to_numpy

    made = mesh()
    reader = geometry.vtkGLTFReader()
    reader.SetFileName(str(write_mesh(made, tmp_path / "m.glb")))
    reader.Update()
    leaves, found = reader.GetOutput().NewIterator(), []
    while not leaves.IsDoneWithTraversal():
        found.append(leaves.GetCurrentDataObject())
        leaves.GoToNextItem()
    surface, path = found
    points = vtk_to_numpy(surface.GetPoints().GetData())
    np.testing.assert_allclose(points[:, [0, 2, 1]] * (1, -1, 1), made.vertices[:12], rtol=1e-6)
    corners = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    np.testing.assert_array_equal(corners, made.triangles)
    loss = vtk_to_numpy(surface.GetPointData().GetArray("_LOSS"))
    np.testing.assert_allclose(loss, made.values[:12], rtol=1e-6)
    ends = vtk_to_numpy(path.GetPoints().GetData())
    np.testing.assert_allclose(ends[[0, -1], 0], made.vertices[made.polylines[0][[0, 2]], 0])


def test_trimesh_reads_colours_values_and_lines_back(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    made = mesh()
    read = trimesh.load(write_mesh(made, tmp_path / "m.glb"), process=False)
    surface, path = read.geometry["surface"], read.geometry["path 1"]
    np.testing.assert_allclose(
        surface.vertex_attributes["_LOSS"][:, 0], made.values[:12], rtol=1e-6
    )
    colors = surface.visual.vertex_attributes["color"]
    # The map's ends, #3b5993 and #fbf5e5, as linear light in bytes: ((c + .055)/1.055)^2.4
    np.testing.assert_array_equal(colors[0], [11, 25, 74, 255])
    np.testing.assert_array_equal(colors[11], [246, 233, 200, 255])
    assert path.length == pytest.approx(
        np.linalg.norm(np.diff(made.vertices[made.polylines[0]], axis=0), axis=1).sum(), rel=1e-6
    )


def test_a_hole_leaves_no_vertex_behind_in_gltf(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    values = VALUES.copy()
    values[0, 0] = np.nan
    made = surface_mesh(make_surface(values), ceiling=float(np.exp(11)))
    surface = trimesh.load(write_mesh(made, tmp_path / "m.glb"), process=False).geometry["surface"]
    assert len(surface.vertices) == 11
    assert np.isfinite(surface.vertex_attributes["_LOSS"]).all()
    np.testing.assert_allclose(np.linalg.norm(surface.vertex_normals, axis=1), 1, rtol=1e-6)


def test_gltf_without_trimesh_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(ImportError, match=r"pip install 'landscape-torch\[mesh\]'"):
        write_mesh(mesh(), tmp_path / "m.glb")
    assert not (tmp_path / "m.glb").exists()


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.ply, \.obj, \.vtp, \.glb; not 'm\.stl'"):
        write_mesh(mesh(), tmp_path / "m.stl")


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".vtp"])
def test_a_surface_without_paths_is_written(tmp_path, suffix):
    values = np.arange(9.0).reshape(1, 3, 3)
    values[0, 0, 0], values[0, 2, 2] = -np.finfo(np.float64).max, np.finfo(np.float64).max
    axis = np.linspace(-1, 1, 3)
    surface = ls.Surface(
        alpha=axis, beta=axis, metrics=("entropy",), values=values, gram=np.eye(2),
        standard_error=np.zeros_like(values), computed=np.ones((3, 3), bool), labels=("x", "y"),
    )  # fmt: skip
    mesh = ls.surface_mesh(surface)  # its first metric, whatever it is called
    assert np.isfinite(mesh.vertices).all()
    assert mesh.vertices[:, 2].max() <= 1.0
    assert ls.write_mesh(mesh, tmp_path / f"a{suffix}").stat().st_size > 100
