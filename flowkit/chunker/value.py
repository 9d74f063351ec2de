"""Frozen dataclasses that become such when somebody treats them so.

Importing `dataclasses`, and having it write each class's methods, takes longer than all else that a chunker takes to start.
"""

from __future__ import annotations

from _thread import RLock

TYPE_CHECKING = False  # as in `typing`, which takes nearly as long
if TYPE_CHECKING:
    from dataclasses import Field
    from typing import Any, ClassVar, dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


class _Asked:
    """An attribute by which dataclasses are known."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, value: object, cls: type[Value]) -> Any:
        if cls is Value:
            raise AttributeError(self._name)
        return getattr(_become(cls), self._name)


@dataclass_transform(frozen_default=True)
class Value:
    """A base for what would be `@dataclass(frozen=True)`.

    Making one and reading its fields needs no dataclass. Whatever else is asked of it (to be compared, hashed, shown or
    replaced, to refuse a change or wrong arguments) turns its class into that dataclass, which answers.

    Args:
        apart: fields, with defaults, that take no part in comparing and showing.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _apart: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = _Asked()
        __dataclass_params__ = _Asked()

    def __init_subclass__(cls, apart: tuple[str, ...] = ()) -> None:
        cls.__match_args__ = (*cls.__match_args__, *cls.__annotations__)  # type: ignore[misc]  # as mypy has found itself
        cls._defaults = {name: getattr(cls, name) for name in cls.__match_args__ if hasattr(cls, name)}
        cls._apart = apart

    def __init__(self, *given: Any, **named: Any) -> None:
        names = self.__match_args__
        if named or len(given) != len(names):
            first, values = names[: len(given)], self._defaults | named
            if len(first) < len(given) or not named.keys().isdisjoint(first) or {*values, *first} != set(names):
                _become(type(self)).__init__(self, *given, **named)  # which says what is wrong
            self.__dict__.update(values)
        self.__dict__.update(zip(names, given, strict=False))
        self.__post_init__()

    def __post_init__(self) -> None:
        """Checks the fields together."""

    def __eq__(self, other: object) -> bool:
        return _become(type(self)).__eq__(self, other)

    def __hash__(self) -> int:
        return _become(type(self)).__hash__(self)

    def __repr__(self) -> str:
        return _become(type(self)).__repr__(self)

    def __setattr__(self, name: str, value: object) -> None:
        _become(type(self)).__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _become(type(self)).__delattr__(self, name)


def _become(cls: type[Value]) -> type[Value]:
    """The class, made a dataclass: its methods now go before those of `Value`."""
    from dataclasses import dataclass, field

    with _becoming:
        if "__eq__" not in cls.__dict__:
            for name in cls._apart:
                setattr(cls, name, field(default=cls._defaults[name], compare=False, repr=False))
            dataclass(frozen=True)(cls)
    return cls


_becoming = RLock()
"""Two threads may ask at once, and a class asks its base."""
