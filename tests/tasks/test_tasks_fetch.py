"""Fetching data from a server on this machine: kept when right, refused when not."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import logging
import tarfile
import threading

import pytest
from typer.testing import CliRunner

from landscape.cli import app
from landscape.tasks.fetch import SOURCES, Source, fetch_data


class Quiet(http.server.SimpleHTTPRequestHandler):
    served: list[str] = []  # noqa: RUF012

    def log_message(self, *_):
        self.served.append(self.path)


@pytest.fixture
def server(tmp_path):
    """A folder and its address; `Quiet.served` lists the paths that were asked for."""
    folder = tmp_path / "server"
    folder.mkdir()
    Quiet.served.clear()
    logging.getLogger("pooch").setLevel(logging.ERROR)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def published(monkeypatch, name, files, **more):
    sums = {file: "md5:" + hashlib.md5(content).hexdigest() for file, content in files.items()}
    monkeypatch.setitem(SOURCES, name, Source("http://127.0.0.1:9/", sums, "", **more))


def test_fetches_checks_and_keeps(server, tmp_path, monkeypatch):
    folder, url = server
    files = {"a.gz": b"first", "b.gz": b"second"}
    published(monkeypatch, "mnist", files)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for _ in range(2):
        paths = list(fetch_data("mnist", root=tmp_path / "data", url=url + "/"))
        assert [p.read_bytes() for p in paths] == list(files.values())
        assert paths[0] == tmp_path / "data" / "mnist" / "a.gz"
    assert sorted(Quiet.served) == ["/a.gz", "/b.gz"]
    paths[0].write_bytes(b"damaged later")
    list(fetch_data("mnist", root=tmp_path / "data", url=url))
    assert paths[0].read_bytes() == b"first"


def test_another_file_is_refused_and_not_kept(server, tmp_path, monkeypatch):
    folder, url = server
    published(monkeypatch, "mnist", {"a.gz": b"original"})
    (folder / "a.gz").write_bytes(b"forged")
    with pytest.raises(ValueError, match=r"a\.gz is not the original file"):
        list(fetch_data("mnist", root=tmp_path / "data", url=url))
    assert not (tmp_path / "data" / "mnist" / "a.gz").exists()


def test_archives_are_unpacked_beside(server, tmp_path, monkeypatch):
    folder, url = server
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("there/one.bin", "there/two.bin", "../../escape"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    archive = {"c.tar.gz": buffer.getvalue()}
    (folder / "c.tar.gz").write_bytes(archive["c.tar.gz"])
    published(monkeypatch, "cifar-10-batches-bin", archive, unpack=("one.bin",))
    (path,) = fetch_data("cifar10", root=tmp_path / "data", url=url)
    assert path == tmp_path / "data" / "cifar-10-batches-bin" / "one.bin"
    assert path.read_text() == "there/one.bin"
    assert sorted(p.name for p in path.parent.iterdir()) == ["c.tar.gz", "one.bin"]
    published(monkeypatch, "cifar-10-batches-bin", archive, unpack=("three.bin",))
    with pytest.raises(ValueError, match=r"does not hold three\.bin"):
        list(fetch_data("cifar10", root=tmp_path / "data", url=url))


def test_missing_server_file_and_unknown_name(server, tmp_path, monkeypatch):
    _, url = server
    with pytest.raises(OSError, match="404"):
        list(fetch_data("mnist", root=tmp_path / "data", url=url))
    with pytest.raises(ValueError, match="data set must be one of mnist, fashion-mnist"):
        list(fetch_data("imagenet", root=tmp_path / "data"))


def test_command(server, tmp_path, monkeypatch):
    folder, url = server
    published(monkeypatch, "tiny-shakespeare", {"input.txt": b"First Citizen"})
    (folder / "input.txt").write_bytes(b"First Citizen")
    arguments = ["data", "fetch", "tiny-shakespeare", "--root", str(tmp_path), "--url", url]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "tiny-shakespeare" / "input.txt").read_bytes() == b"First Citizen"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("optimizers", ["adam ", "arXiv:1412.6980", "ρ > 5", "needs the extra 'optimizers'"]),
        ("schedules", ["trapezoid", "one-cycle"]),
        ("tasks", ["digits/mlp", "cifar10/resnet56", "function/beale", "noskip"]),
        ("data", list(SOURCES)),
    ],
)
def test_list(kind, expected):
    listed = CliRunner().invoke(app, ["list", kind])
    assert listed.exit_code == 0, listed.output
    assert all(text in listed.output for text in expected)
