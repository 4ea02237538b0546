"""Damaged and hostile files, made from whole ones by a seed and a number."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Make = Callable[[Path, random.Random], None]


# Bytes


def _flip_bits(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _flip_heads(path: Path, draw: random.Random) -> None:
    """Bits near signatures, where the structure of an HDF5 file lies."""
    data = bytearray(path.read_bytes())
    marks = [m for m in (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"\x89HDF") if m in data]
    for _ in range(draw.choice((1, 1, 2, 4))):
        mark = draw.choice(marks) if marks else bytes(data[:4])
        places = [k for k in range(len(data) - 4) if data.startswith(mark, k)] or [0]
        at = draw.choice(places) + draw.randrange(96)
        data[min(at, len(data) - 1)] = draw.choice((0, 1, 2, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    path.write_bytes(data)


def _truncate(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def _range(data: bytes, draw: random.Random) -> slice:
    start = draw.randrange(len(data))
    return slice(start, min(len(data), start + draw.choice((4, 8, 64, 512, 4096))))


def _blank(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    part = _range(bytes(data), draw)
    data[part] = draw.choice((b"\0", b"\xff")) * (part.stop - part.start)
    path.write_bytes(data)


def _copy(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    part, there = _range(bytes(data), draw), draw.randrange(len(data))
    piece = data[part]
    data[there : there + len(piece)] = piece
    path.write_bytes(data[: path.stat().st_size])


def _insert(path: Path, draw: random.Random) -> None:
    data, at = path.read_bytes(), draw.randrange(path.stat().st_size)
    path.write_bytes(data[:at] + draw.randbytes(draw.choice((1, 8, 512))) + data[at:])


BYTES: list[Make] = [
    _flip_bits, _flip_bits, _flip_heads, _flip_heads, _truncate, _blank, _copy, _insert,
]  # fmt: skip


# HDF5

TEXTS = (
    "", "{}", "[]", "null", "[1]", '{"a": 1e999}', '{"a": NaN}', "[" * 100_000, '{"a":' * 5000,
    '{"a": ' + "9" * 5000 + "}", "\ud800", "no json", '{"kind": {"kind": []}}', "line\nline",
    '[{"name": "a", "shape": [-1], "offset": 0, "kind": "weight", "filter_axis": 0}]',
    '[{"name": "a", "shape": [1e30], "offset": 0, "kind": "weight", "filter_axis": 0}]',
    '[{"name": "a", "shape": [1099511627776], "offset": 0, "kind": "bias", "filter_axis": 9}]',
    '[{"name": ["a"], "shape": "12", "offset": "0", "kind": 7, "filter_axis": -3}]',
)  # fmt: skip


def _values(file: h5py.File) -> list[Any]:
    """What an attribute may be."""
    return [
        "landscape/trajectory", "landscape/surface", "x" * 4000, b"\xff\xfe", "", 0, -1, 1, 2, 99,
        np.uint64(2**64 - 1), np.float64("nan"), np.float64(1), np.array([1, 1]), True,
        np.zeros((3, 2)), h5py.Empty("f4"), file.ref, np.array([1 + 2j]), np.array([b"a", b"b"]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), "a\nb", np.int64(-(2**63)),
    ]  # fmt: skip


def _attribute(path: Path, draw: random.Random) -> None:
    with h5py.File(path, "r+") as file:
        items = [file, *_objects(file)]
        owners = [item for item in items if len(item.attrs)] or items
        owner = draw.choice(owners)
        name = draw.choice([*owner.attrs, "schema", "version"])
        value = draw.choice(_values(file))
        with contextlib.suppress(ValueError, TypeError):
            owner.attrs[name] = value


def _without(path: Path, draw: random.Random) -> None:
    with h5py.File(path, "r+") as file:
        names = _names(file)
        if draw.random() < 0.3:
            for owner in draw.sample(_objects(file), 1):
                for name in list(owner.attrs):
                    del owner.attrs[name]
        else:
            del file[draw.choice(names)]


def _other_data(path: Path, draw: random.Random) -> None:
    """Another data set in the place of one: another type, shape, or a size beyond all memory."""
    with h5py.File(path, "r+") as file:
        name = draw.choice([n for n in _names(file) if isinstance(file[n], h5py.Dataset)])
        old = file[name]
        shape = old.shape
        del file[name]
        make = file.create_dataset
        kinds: list[Callable[[], Any]] = [
            lambda: make(name, shape, draw.choice(("f2", ">f8", "i1", "u8", "?", "c16", "f4"))),
            lambda: make(name, (1 << 44,), "f8", chunks=(1 << 16,)),
            lambda: make(name, (1 << 22, 1 << 22), "f4", chunks=(1, 1 << 16)),
            lambda: make(name, (*shape, 1 << 40), "f4", chunks=True),
            lambda: make(name, (0,) * max(1, len(shape)), "f8"),
            lambda: make(name, data=3.0),
            lambda: make(name, data=draw.choice((1 << 40, -5, 2**62))),
            lambda: make(name, data=np.zeros(1 << 23), chunks=(1 << 20,), compression="gzip"),
            lambda: make(name, data=h5py.Empty("f8")),
            lambda: make(name, data=["a", "b\0c", "ü" * 9], dtype=h5py.string_dtype()),
            lambda: make(name, data=np.array([b"\xff\xfe", b"\xed\xa0\x80"]), dtype="S3"),
            lambda: make(name, (4,), h5py.ref_dtype),
            lambda: make(name, (4,), h5py.vlen_dtype("i4")),
            lambda: make(name, (4,), np.dtype([("a", "i4"), ("b", "f8")])),
            lambda: make(name, (4,), np.dtype("V7")),
            lambda: make(name, (1 << 40,), h5py.string_dtype(), chunks=(1 << 16,)),
            lambda: make(name, (3,), "S1000000"),
            lambda: file.create_group(name),
            lambda: _unknown_filter(file, name, shape),
            lambda: make(name, (9,), "f8", external=[("/etc/passwd", 0, 72)]),
            lambda: _virtual(file, name, path),
        ]  # fmt: skip
        with contextlib.suppress(ValueError, TypeError, OSError):
            draw.choice(kinds)()


def _unknown_filter(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_deflate(1)
    space = h5py.h5s.create_simple((4,))
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F64LE, space, plan)
    made.write_direct_chunk((0,), b"no deflated data", 0)


def _virtual(file: h5py.File, name: str, path: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(path), name, shape=(4,))
    file.create_virtual_dataset(name, layout)


def _text(path: Path, draw: random.Random) -> None:
    with h5py.File(path, "r+") as file:
        names = [n for n in _names(file) if n.rsplit("/")[-1] in _TEXTUAL] or _names(file)
        name = draw.choice(names)
        text = draw.choice(TEXTS)
        del file[name]
        if draw.random() < 0.2:
            file.create_dataset(name, data=np.bytes_(b"\xff{\x80}"), dtype=h5py.string_dtype())
        else:
            file.create_dataset(
                name, data=text.encode("utf-8", "surrogatepass"), dtype=h5py.string_dtype()
            )


_TEXTUAL = (
    "layout", "buffers_layout", "frozen_layout", "run", "provenance", "settings", "accuracy",
    "metric", "direction", "dir_file",
)  # fmt: skip


def _edited_text(path: Path, draw: random.Random) -> None:
    """A value somewhere in a JSON text is another one."""
    with h5py.File(path, "r+") as file:
        names = [n for n in _names(file) if n.rsplit("/")[-1] in _TEXTUAL[:7]]
        if not names:
            return
        name = draw.choice(names)
        held = json.loads(file[name].asstr()[()])  # pyright: ignore
        places: list[tuple[Any, Any]] = []

        def visit(one: Any) -> None:
            for key in one if isinstance(one, dict) else range(len(one)):
                places.append((one, key))
                if isinstance(one[key], dict | list):
                    visit(one[key])

        visit(held)
        if not places:
            return
        owner, key = draw.choice(places)
        owner[key] = draw.choice(
            (
                None,
                -1,
                0,
                10**18,
                1.5,
                float("nan"),
                "",
                "x" * 99,
                [],
                {},
                True,
                [[]],
                "a\nb",
                10**400,
            )
        )
        del file[name]
        file.create_dataset(name, data=json.dumps(held), dtype=h5py.string_dtype())


def _link(path: Path, draw: random.Random) -> None:
    with h5py.File(path, "r+") as file:
        name = draw.choice(_names(file))
        kind = draw.randrange(7)
        if kind < 5:
            del file[name]
        if kind == 0:
            file[name] = h5py.SoftLink("/" + name)
        elif kind == 1:
            file[name] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == 2:
            file[name] = h5py.ExternalLink(str(path.with_name("other.h5")), "/")
        elif kind == 3:
            file[name] = h5py.SoftLink("/")
        elif kind == 4:
            file[name] = file["/"]
        elif kind == 5:
            file["again"] = file["/"]
        else:
            group = file
            for k in range(400):
                group = group.create_group(f"g{k % 7}")
            group.attrs["schema"] = "landscape/line"


def _user_block(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(draw.randbytes(draw.choice((512, 1024))) + data)


def _nothing_of_it(path: Path, draw: random.Random) -> None:
    path.write_bytes(
        draw.choice((b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2048), b"PK", b"{}"))
    )


HDF5: list[Make] = [
    _attribute, _attribute, _without, _other_data, _other_data, _text, _edited_text, _link,
    _user_block, _nothing_of_it,
]  # fmt: skip


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def _objects(file: h5py.File) -> list[Any]:
    return [file[name] for name in _names(file)]


# Folders of units


def _plan(path: Path, draw: random.Random) -> None:
    held = json.loads((path / "plan.json").read_text())
    odd = (
        None,
        -1,
        0,
        10**18,
        1.5,
        "x",
        [],
        {},
        True,
        "sequential",
        10**400,
        [1],
        {"strategy": "x"},
    )
    which = draw.randrange(3)
    if which == 0:
        (path / "plan.json").write_text(draw.choice([t for t in TEXTS if t.isascii()]))
        return
    target = held if which == 1 or "choice" not in held else held["choice"]
    target[draw.choice([*target])] = draw.choice(odd)
    (path / "plan.json").write_text(json.dumps(held))


def _unit(path: Path, draw: random.Random) -> None:
    unit = draw.choice(sorted(path.glob("unit-*.npz")))
    shape = (1, 2)
    good = np.zeros(shape)
    kind = draw.randrange(9)
    if kind == 0:
        np.save(unit.with_suffix(".npy"), good)
        unit.with_suffix(".npy").rename(unit)
    elif kind == 1:
        np.savez(unit, mean=np.array([_Loud()], dtype=object), standard_error=good)
    elif kind == 2:
        odd = [(1, 1), (2, 2), (1, 3), (), (0,), (1, 2, 1)]
        np.savez(unit, mean=np.zeros(draw.choice(odd)), standard_error=good)
    elif kind == 3:
        np.savez(
            unit, mean=good.astype(draw.choice(("f4", "c16", "i8", "S3"))), standard_error=good
        )
    elif kind == 4:
        np.savez(unit, mean=good)
    elif kind == 5:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"shape": (1 << 30, 1 << 20), "fortran_order": False, "descr": "<f8"}
        )
        with zipfile.ZipFile(unit, "w") as file:
            file.writestr("mean.npy", head.getvalue())
            file.writestr("standard_error.npy", head.getvalue())
    elif kind == 6:
        with zipfile.ZipFile(unit, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("mean.npy", bytes(1 << 24))
    elif kind == 7:
        unit.unlink()
        unit.mkdir()
    else:
        draw.choice(BYTES)(unit, draw)


def _plan_bytes(path: Path, draw: random.Random) -> None:
    draw.choice(BYTES)(path / "plan.json", draw)


class _Loud:
    """What must never be unpickled."""

    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


UNIT_FOLDERS: list[Make] = [_plan, _plan, _unit, _unit, _plan_bytes]


MAKES: dict[str, list[Make]] = {
    "run": BYTES + HDF5,
    "results": BYTES + HDF5,
    "li2018": BYTES + HDF5,
    "units": UNIT_FOLDERS,
}


def make_input(bases: Path, into: Path, seed: int, number: int) -> tuple[str, Path]:
    """Input `number` of `seed`: its kind, and where it was written."""
    draw = random.Random(f"{seed} {number}")
    base = draw.choice(sorted(bases.iterdir()))
    kind = base.name.split("-")[0]
    path = into / base.name
    if path.is_dir():
        shutil.rmtree(path)
    (shutil.copytree if base.is_dir() else shutil.copyfile)(base, path)
    draw.choice(MAKES[kind])(path, draw)
    return kind, path
