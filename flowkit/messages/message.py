"""What every message has."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar

M = TypeVar("M")


def filled(cls: type[M]) -> type[M]:
    """Give a dataclass that is created often an ``__init__`` that fills its slots directly.

    The generated one of a frozen dataclass takes twice as long, because it sets each attribute through
    ``object.__setattr__``. Instances stay frozen.
    """
    given = fields(cls)  # type: ignore[arg-type]
    names: dict[str, Any] = {f"set_{f.name}": getattr(cls, f.name).__set__ for f in given}
    names |= {f"default_{f.name}": f.default for f in given}
    arguments = ", ".join(f.name if f.default is MISSING else f"{f.name}=default_{f.name}" for f in given)
    body = "; ".join(f"set_{f.name}(self, {f.name})" for f in given)
    exec(f"def __init__(self, {arguments}): {body}", names)
    cls.__init__ = names["__init__"]  # type: ignore[method-assign]
    return cls


@dataclass(frozen=True, slots=True)
class Message:
    """Base class of all messages."""

    lane: ClassVar[str] = "D"
    """C control, D data, P to a provider."""
    lossy: ClassVar[bool] = False
    """Whether a `drop_*` policy may drop it."""
