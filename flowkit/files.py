"""Files that flowkit writes: a whole one or none, never through a link, never on top of what was read.

``write_whole`` is how every command writes its result. What is recorded while a session runs cannot be written whole at once; it is
begun with ``create``, which takes no name that is in use.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from flowkit.errors import OutputError
from flowkit.secrets import known

PRIVATE, SHARED = 0o600, 0o666
"""Modes of files that hold what people said, and of others; the process's umask takes from either."""
PRIVATE_FOLDER = 0o700
_SOUND = re.compile(r"\.(?:input|voice-\d{4,6})\.(?:wav|flac)")


def write_whole(
    path: Path | str,
    content: str | bytes,
    *,
    inputs: Iterable[Path | str] = (),
    mode: int = SHARED,
    parents: bool = True,
) -> None:
    """Write `content` to `path`: beside it first, then under its name, so that no reader ever sees a part. With `parents` the
    folder is made if it is not there.

    A device (``/dev/stdout``) is written to as it is. Raises OutputError as ``check_output`` does, and where the disk is full; what
    was there before is then still there.
    """
    path, data = (
        Path(path),
        known()(content).encode("utf-8", "backslashreplace") if isinstance(content, str) else content,
    )
    check_output(path, inputs)
    if is_device(path):
        _guarded(path, lambda: path.write_bytes(data))
        return
    if parents:
        make_folder(path.parent)
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}.new")
    try:
        _guarded(path, lambda: _replace(path, beside, data, mode))
    finally:
        beside.unlink(missing_ok=True)


def _replace(path: Path, beside: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, mode), "wb") as file:
        if path.exists():
            os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def create(path: Path | str, *, mode: int = PRIVATE, folder_mode: int = 0o777, hint: str = "give another name") -> int:
    """A new file at `path` as a descriptor to read and write. Raises OutputError if the name is in use or cannot be written."""
    path = Path(path)
    check_output(path)
    make_folder(path.parent, folder_mode)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode)
    except FileExistsError as error:
        raise OutputError(f"{path} is there already", hint=hint) from error
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error


def check_output(path: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """Find out early whether `path` may be written. Raises OutputError for a folder, a link, and one of `inputs`."""
    path = Path(path)
    for taken in inputs:
        if _same(path, Path(taken)):
            raise OutputError(f"{path} is what is being read; it would be overwritten", hint="give another name")
    if is_device(path):
        return
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
    if stat.S_ISLNK(kind):
        raise OutputError(f"{path} is a link; nothing is written through links", hint="give the file that it leads to")
    if not stat.S_ISREG(kind):
        raise OutputError(f"cannot write {path}: it is {'a folder' if stat.S_ISDIR(kind) else 'no file'}")


def make_folder(path: Path, mode: int = 0o777) -> None:
    """The folder, and those above it. Raises OutputError if it cannot be made."""
    try:
        if not path.is_dir():
            make_folder(path.parent, mode)
            path.mkdir(mode, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write: the folder {path} cannot be made: {said(error)}") from error


def cannot_write(path: Path | str, error: OSError | ValueError) -> OutputError:
    """What an error means for whoever wanted the file."""
    return OutputError(f"cannot write {path}: {said(error)}")


def said(error: OSError | ValueError) -> str:
    """An error's reason, without number and path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def sounds_beside(trace: Path) -> list[Path]:
    """The sound files that belong to a trace by their names, whole or being recorded."""
    try:
        return sorted(path for path in trace.parent.iterdir() if is_sound_of(trace, path))
    except OSError:
        return []


def is_sound_of(trace: Path, path: Path) -> bool:
    """Whether `path` is named like the sound of that trace, in its folder."""
    stem = trace.name.removesuffix(".jsonl")
    named = path.name.startswith(f"{stem}.") and _SOUND.fullmatch(path.name[len(stem) :]) is not None
    return named and os.path.realpath(path.parent) == os.path.realpath(trace.parent)


def is_device(path: Path) -> bool:
    """A device or a pipe that the user named, such as ``/dev/stdout``: there is no file to keep whole. Never one in a link's
    disguise elsewhere."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return path.is_absolute() and path.parts[:2] in (("/", "dev"), ("/", "proc")) and not stat.S_ISDIR(kind)


def _same(path: Path, other: Path) -> bool:
    """One file, whatever it is called."""
    try:
        return path.samefile(other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)
    except ValueError:
        return False


def _guarded(path: Path, act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
