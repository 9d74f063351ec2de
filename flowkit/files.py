"""Writes files safely: a whole file or none, never through a link, never over an input.

Every command writes its result with ``write_whole``. A file that is recorded while a session runs cannot be written at
once; it is opened with ``create``, which refuses a name that is in use.
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
"""Modes of files that hold what people said, and of other files. The process's umask restricts both."""
PRIVATE_FOLDER = 0o700
_HEAD = 4096
_EMPTY = b"[] \r\n"
"""Nothing is lost with such a file. A list of no tests is one."""
_SOUND = re.compile(r"\.(?:input|voice-\d{4,6})\.(?:wav|flac)")


def write_whole(
    path: Path | str,
    content: str | bytes,
    *,
    inputs: Iterable[Path | str] = (),
    mode: int = SHARED,
    parents: bool = True,
    mine: str = "",
) -> None:
    """Write `content` to `path`.

    The file is written under a temporary name and then renamed, so that no reader sees a part of it. A device such as
    ``/dev/stdout`` is written to directly.

    Args:
        path: where to write.
        content: text, in which known secrets are masked, or bytes.
        inputs: files that must not be overwritten.
        mode: mode of a new file. An existing file keeps its own.
        parents: whether to create missing folders.
        mine: as for ``check_output``.

    Raises:
        OutputError: as ``check_output``, or if the disk is full. An existing file is then unchanged.
    """
    path, data = (
        Path(path),
        # A model's text may hold half a surrogate pair, which UTF-8 cannot encode. No report may fail for that.
        known()(content).encode("utf-8", "backslashreplace") if isinstance(content, str) else content,
    )
    check_output(path, inputs, mine=mine)
    if is_device(path):
        _translated(path, lambda: path.write_bytes(data))
        return
    if parents:
        make_folder(path.parent)
    # The name is cut, because one near the system's limit could not be made longer.
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.new")
    try:
        _translated(path, lambda: _replace(path, temporary, data, mode))
    finally:
        # After a failure nothing may be left behind. After the renaming it is gone already.
        temporary.unlink(missing_ok=True)


def _replace(path: Path, temporary: Path, data: bytes, mode: int) -> None:
    # Without these flags, a link placed at the temporary name would lead the write to another file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
        if path.exists():
            # The new file takes the place of the old one, whose permissions would be lost otherwise.
            os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # before the renaming, so that a crash of the machine cannot leave an empty file
    os.replace(temporary, path)


def create(path: Path | str, *, mode: int = PRIVATE, folder_mode: int = 0o777, hint: str = "give another name") -> int:
    """Create a new file at `path`, and return a descriptor for reading and writing.

    Raises OutputError if the name is in use or the file cannot be created.
    """
    path = Path(path)
    check_output(path)
    make_folder(path.parent, folder_mode)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode)
    except FileExistsError as error:
        raise OutputError(f"{path} already exists", hint=hint) from error
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error


def check_output(path: Path | str, inputs: Iterable[Path | str] = (), *, mine: str = "") -> None:
    """Check early whether `path` may be written.

    Args:
        path: where a command would write.
        inputs: files that must not be overwritten.
        mine: a text near the beginning of every file of this kind that flowkit writes. An existing file without it was
            not written by flowkit. Without `mine`, an existing file may be overwritten.

    Raises:
        OutputError: it is a folder, a link, one of `inputs`, or a file that flowkit did not write.
    """
    path = Path(path)
    for source in inputs:
        if _same(path, Path(source)):
            raise OutputError(f"{path} is an input and would be overwritten", hint="give another name")
    if is_device(path):
        return
    try:
        # Not `stat`, which would follow a link instead of seeing it.
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind) and mine and not _has(path, mine):
            what = f"{path} already exists, and flowkit did not write it"
            raise OutputError(what, hint="give another name, or remove the file")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
    if stat.S_ISLNK(kind):
        raise OutputError(
            f"{path} is a link; nothing is written through links", hint="give the path of the file itself"
        )
    if not stat.S_ISREG(kind):
        raise OutputError(f"cannot write {path}: it is {'a folder' if stat.S_ISDIR(kind) else 'not a regular file'}")


def reserve(path: Path | str, inputs: Iterable[Path | str] = (), *, mine: str = "") -> None:
    """Before long work: check the output, make its folder, and try whether a file can be created there.

    Raises OutputError as ``check_output``, or if the folder cannot be made or written to.
    """
    path = Path(path)
    check_output(path, inputs, mine=mine)
    if is_device(path):
        return
    make_folder(path.parent)
    trial = path.with_name(f".{path.name[:100]}.{os.getpid()}.new")
    _translated(path, lambda: trial.open("xb").close())
    trial.unlink()


def _has(path: Path, mine: str) -> bool:
    """Whether the file is empty or has `mine` near its beginning."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head.strip(_EMPTY) or mine.encode() in head


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Create the folder and its parents. Raises OutputError if that fails."""
    try:
        if not path.is_dir():
            # One by one, because `mkdir(parents=True)` gives this mode to the last folder alone.
            make_folder(path.parent, mode)
            path.mkdir(mode, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write: the folder {path} cannot be made: {reason_of(error)}") from error


def cannot_write(path: Path | str, error: OSError | ValueError) -> OutputError:
    """The OutputError for an error of the operating system."""
    return OutputError(f"cannot write {path}: {reason_of(error)}")


def reason_of(error: OSError | ValueError) -> str:
    """The reason in an error of the operating system, without number and path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def sounds_beside(trace: Path) -> list[Path]:
    """The sound files of a trace, complete ones and those that are being recorded."""
    try:
        # A folder that cannot be read holds nothing to clash with. Creating the trace there reports the error.
        return sorted(path for path in trace.parent.iterdir() if is_sound_of(trace, path))
    except OSError:
        return []


def is_sound_of(trace: Path, path: Path) -> bool:
    """Whether `path` has the name of a sound file of this trace and is in its folder."""
    stem = trace.name.removesuffix(".jsonl")
    named = path.name.startswith(f"{stem}.") and _SOUND.fullmatch(path.name[len(stem) :]) is not None
    return named and os.path.realpath(path.parent) == os.path.realpath(trace.parent)


def is_device(path: Path) -> bool:
    """Whether `path` is a device or a pipe that the user named, such as ``/dev/stdout``.

    Only paths below ``/dev`` and ``/proc`` count. A link elsewhere that leads to a device does not.
    """
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return path.is_absolute() and path.parts[:2] in (("/", "dev"), ("/", "proc")) and not stat.S_ISDIR(kind)


def _same(path: Path, other: Path) -> bool:
    """Whether both paths lead to the same file."""
    try:
        return path.samefile(other)
    except OSError:
        # `samefile` needs two files that exist, and an output usually does not exist yet.
        return os.path.realpath(path) == os.path.realpath(other)
    except ValueError:
        return False


def _translated(path: Path, act: Callable[[], object]) -> None:
    """Call `act`, and raise errors of the operating system as OutputError."""
    try:
        act()
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
