"""Downloading data sets, with checksums, into the place where tasks look for them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from landscape.base.files import expanded
from landscape.tasks import cifar


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        url: Folder that holds the files.
        files: File name to checksum, ``algorithm:hexadecimal``, as published with the data.
        unpack: For one tar archive: which of its members to keep.
        note: Size and licence.
    """

    url: str
    files: dict[str, str]
    note: str
    unpack: tuple[str, ...] = ()


SOURCES: dict[str, Source] = {
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
        },
        "12 MB, CC BY-SA 3.0",
    ),
    "fashion-mnist": Source(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        {
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
        "31 MB, MIT",
    ),
    cifar.FOLDER: Source(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
        "170 MB, no licence stated",
        unpack=(*cifar.FILES, *cifar.MORE, "batches.meta.txt"),
    ),
    "tiny-shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        {"input.txt": "md5:6fb458f1232090904fb40fe944165e91"},
        "1 MB, public domain",
    ),
}
ALIASES = {"cifar10": cifar.FOLDER}


def fetch_data(name: str, *, root: Path = Path("data"), url: str | None = None) -> Iterator[Path]:
    """Download the data set `name` into ``root/name``; files that are right already are kept.

    A file appears under its name only when its checksum agrees.

    Args:
        name: One of `SOURCES`, or ``cifar10``.
        root: Folder of data sets.
        url: Another folder to fetch from, such as a mirror; default: the original's.

    Yields:
        Every file when it is in place.

    Raises:
        ValueError: If the name is unknown or a checksum differs.
        OSError: If the server cannot be reached.
    """
    import pooch

    folder_name = ALIASES.get(name, name)
    if folder_name not in SOURCES:
        raise ValueError(
            f"data set must be one of {', '.join([*SOURCES, *ALIASES])}; not {name!r}."
        )
    source, folder = SOURCES[folder_name], expanded(root) / folder_name
    base = source.url if url is None else url.rstrip("/") + "/"
    for file, checksum in source.files.items():
        try:
            path = Path(pooch.retrieve(base + file, checksum, fname=file, path=folder))
        except ValueError as error:
            raise ValueError(
                f"{base}{file} is not the original file: its checksum is not {checksum}. Nothing "
                "was kept; try again later or pass another url."
            ) from error
        if source.unpack:
            yield from _unpacked(path, source.unpack)
        else:
            yield path


def _unpacked(archive: Path, members: tuple[str, ...]) -> Iterator[Path]:
    """Copy `members`, wherever in the archive, beside it."""
    with tarfile.open(archive) as tar:
        held = {Path(member.name).name: member for member in tar if member.isfile()}
        for name in members:
            content = tar.extractfile(held[name]) if name in held else None
            if content is None:
                raise ValueError(f"{archive} does not hold {name}; delete it and fetch it again.")
            path = archive.with_name(name)
            partial = path.with_name(name + ".partial")
            partial.write_bytes(content.read())
            partial.replace(path)
            yield path
