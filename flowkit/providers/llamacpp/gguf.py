"""Reads the chat template of a GGUF file, to see whether the model can be given tools.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
_TEMPLATE = b"tokenizer.chat_template"
_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number, by its type."""
_LONGEST = 1 << 20


def chat_template(path: Path) -> str:
    """The file's chat template, a Jinja template; empty if it has none or cannot be read."""
    try:
        with path.open("rb") as file:
            return _template(file)
    except (OSError, struct.error, KeyError):
        # Loading the model tells what is wrong with the file.
        return ""


def _template(file: BinaryIO) -> str:
    if file.read(4) != MAGIC:
        return ""
    _, _, count = _read(file, "<IQQ")
    for _ in range(count):
        name, (type_,) = _string(file), _read(file, "<I")
        if name == _TEMPLATE and type_ == _STRING:
            return _string(file).decode(errors="replace")
        _skip(file, type_)
    return ""


def _skip(file: BinaryIO, type_: int) -> None:
    if type_ == _STRING:
        (size,) = _read(file, "<Q")
        file.seek(size, 1)
    elif type_ == _ARRAY:
        inner, count = _read(file, "<IQ")
        if inner in _SIZES:
            file.seek(_SIZES[inner] * count, 1)
        else:
            for _ in range(count):
                _skip(file, inner)
    else:
        file.seek(_SIZES[type_], 1)


def _string(file: BinaryIO) -> bytes:
    (size,) = _read(file, "<Q")
    if size > _LONGEST:
        raise struct.error("a name or template of more than 1 MB")
    return file.read(size)


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
