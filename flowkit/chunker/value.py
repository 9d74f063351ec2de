"""Immutable records of named fields.

They replace `@dataclass(frozen=True)` for classes that a chunker needs at once. Importing `dataclasses`, and letting it
write the methods of each class, takes longer than everything else at the start of a chunker.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which takes nearly as long to import
if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn, Self, dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Value:
    """A base for records. Its annotations are the fields, in order; their values in the class are the defaults.

    Args:
        apart: fields that take no part in comparison and repr.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()
    _told: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, apart: tuple[str, ...] = ()) -> None:
        cls.__match_args__ = (*cls.__match_args__, *cls.__annotations__)  # type: ignore[misc]  # as mypy has found itself
        cls._told = tuple(name for name in cls.__match_args__ if name not in apart)

    def __init__(self, *given: Any, **named: Any) -> None:
        """Raises TypeError for a field that is missing, given twice or unknown."""
        names = self.__match_args__
        if named or len(given) != len(names):
            wrong = [name for name in named if name in names[: len(given)] or name not in names]
            missing = [name for name in names[len(given) :] if name not in named and not hasattr(type(self), name)]
            if wrong or missing or len(given) > len(names):
                what = (
                    f"unknown or given twice: {wrong}"
                    if wrong
                    else f"missing: {missing}"
                    if missing
                    else "too many given"
                )
                raise TypeError(f"{type(self).__name__}({', '.join(names)}): {what}")
        self.__dict__.update(zip(names, given, strict=False), **named)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Checks the fields together."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{name: getattr(self, name) for name in self.__match_args__} | changes)

    __replace__ = replace

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._told)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self._told)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._told)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")
