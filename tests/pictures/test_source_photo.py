"""A photo file is opened once to be validated, and its bytes are those that were hashed."""

import hashlib
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from meshcli.errors import InputError
from meshcli.pictures.picture_file import ORIENTATION_TAG
from meshcli.pictures.source_photo import PictureHeader, SourcePhoto


def save_turned(path: Path) -> Path:
    """A picture of 40 x 24 stored pixels that EXIF turns by a quarter."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    Image.new("RGB", (40, 24)).save(path, exif=exif)
    return path


def with_trailing_exif(path: Path) -> Path:
    """The same PNG with its EXIF chunk behind the pixels."""
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    path.write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_hash_and_header_are_read_in_one_opening(name: str, tmp_path: Path) -> None:
    path = save_turned(tmp_path / name)
    photo, later = SourcePhoto.validated(path, 10_000), SourcePhoto(path)
    assert (photo.sha256, photo.header) == (later.sha256, later.header)
    path.unlink()
    assert photo.header == PictureHeader((24, 40), 6, {})
    assert len(photo.sha256) == 64


def test_a_known_photo_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_turned(tmp_path / "a.png")
    decoded: list[Image.Image] = []

    def load_end(picture: Image.Image) -> None:
        decoded.append(picture)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", load_end)
    Image.new("RGB", (40, 24)).save(tmp_path / "plain.png")
    for file in (path, tmp_path / "plain.png"):
        SourcePhoto.validated(file, 10_000, {hashlib.sha256(file.read_bytes()).hexdigest()})
        assert SourcePhoto(file).header.size in ((24, 40), (40, 24))
    assert not decoded
    SourcePhoto.validated(path, 10_000)
    assert len(decoded) == 1


def test_exif_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    path = with_trailing_exif(save_turned(tmp_path / "a.png"))
    assert path.read_bytes().index(b"IDAT") < path.read_bytes().index(b"eXIf")
    assert SourcePhoto(path).header == SourcePhoto.validated(path, 10_000).header == PictureHeader((24, 40), 6, {})


def test_a_png_whose_chunks_lie_about_their_length(tmp_path: Path) -> None:
    path = save_turned(tmp_path / "a.png")
    data = path.read_bytes()
    text = b"tEXt" + b"x" * 9
    chunk = struct.pack(">I", 2**31 - 1) + text + struct.pack(">I", zlib.crc32(text))
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert SourcePhoto(path).header.size == (24, 40)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = save_turned(tmp_path / "a.png")
    photo = SourcePhoto.validated(path, 10_000)
    assert photo.read() == path.read_bytes()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"a\.png is being changed at this moment"):
        photo.read()
    path.unlink()
    with pytest.raises(InputError, match=r"a\.png is being changed at this moment"):
        photo.read()
