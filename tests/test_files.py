"""A file is written completely or not at all, never through a link, and never over an input."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowkit.errors import OutputError
from flowkit.files import PRIVATE, create, is_sound_of, sounds_beside, write_whole


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes. A write then writes a part and fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "first é\ud800")
    assert path.read_text("utf-8") == "first é\\ud800"
    path.chmod(0o640)
    with disk_of(1_000), pytest.raises(OutputError, match=r"cannot write .*a\.txt: File too large"):
        write_whole(path, "x" * 10_000)
    assert path.read_text("utf-8") == "first é\\ud800"
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["a.txt"]


def test_a_private_file_is_its_owner_s(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "c", "x", mode=PRIVATE)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o600


@pytest.fixture
def links(tmp_path: Path) -> Path:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "there").symlink_to("kept")
    (tmp_path / "nowhere").symlink_to("new")
    (tmp_path / "hard").hardlink_to(tmp_path / "kept")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("there", "is a link; nothing is written through links"),
        ("nowhere", "is a link; nothing is written through links"),
        ("folder", "it is a folder"),
        ("pipe", "it is not a regular file"),
        ("kept/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null"),
    ],
)
def test_where_nothing_is_written(links: Path, name: str, said: str) -> None:
    before = names(links)
    for write in (lambda path: write_whole(path, "lost"), create):
        with pytest.raises(OutputError, match=said):
            write(links / name)
    assert names(links) == before
    assert (links / "kept").read_text() == "kept"


def test_nothing_is_written_over_what_is_read(links: Path) -> None:
    for name in ("kept", "hard", "there", "./folder/../kept"):
        with pytest.raises(OutputError, match="is an input and would be overwritten"):
            write_whole(links / name, "lost", inputs=[links / "kept"])
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        write_whole(links / "new", "x", inputs=[links / "folder" / ".." / "new"])
    assert (links / "kept").read_text() == "kept"


def test_what_is_begun_takes_no_name_in_use(links: Path) -> None:
    with pytest.raises(OutputError, match="already exists"):
        create(links / "kept")
    os.close(create(links / "new"))
    assert stat.S_IMODE((links / "new").stat().st_mode) == 0o600


def test_devices_are_written_to_as_they_are() -> None:
    write_whole("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        write_whole("/dev/full", "x")


def test_the_sounds_of_a_trace_are_known_by_their_names(tmp_path: Path) -> None:
    sounds = ["a.input.wav", "a.voice-24000.flac"]
    for name in (*sounds, "a.x.input.wav", "ab.input.wav", "a.voice-1.flac", "a.input.mp3"):
        (tmp_path / name).touch()
    assert [path.name for path in sounds_beside(tmp_path / "a.jsonl")] == sounds
    assert sounds_beside(tmp_path / "a") == sounds_beside(tmp_path / "a.jsonl")
    assert not is_sound_of(tmp_path / "a.jsonl", tmp_path / "other" / "a.input.wav")
    assert sounds_beside(tmp_path / "gone" / "a.jsonl") == []
