"""What a file may name: kinds of stages and their providers. A small interface, so that tests can supply their own."""

from __future__ import annotations

from typing import Any, Protocol

from flowkit.config import kinds
from flowkit.config.kinds import Habits
from flowkit.providers.base import Provider
from flowkit.stages.base import Stage


class Catalog(Protocol):
    """Kinds and providers by name. `stage` raises KeyError or ConfigError. `provider` raises ProviderMissing for an
    unknown name, ConfigError if two packages declare it, and ProviderError if it cannot be imported."""

    def kinds(self) -> tuple[str, ...]: ...
    def stage(self, kind: str) -> type[Stage[Any]]: ...
    def habits(self, kind: str) -> Habits: ...
    def providers(self, kind: str) -> tuple[str, ...]: ...
    def provider(self, kind: str, name: str) -> type[Provider]: ...
    def missing(self, cls: type[Provider]) -> tuple[str, ...]: ...


class Installed:
    """What is installed on this machine."""

    def kinds(self) -> tuple[str, ...]:
        return kinds.names()

    def stage(self, kind: str) -> type[Stage[Any]]:
        return kinds.find(kind)

    def habits(self, kind: str) -> Habits:
        return kinds.habits(kind)

    def providers(self, kind: str) -> tuple[str, ...]:
        from flowkit.providers import registry

        return registry.names(kind)

    def provider(self, kind: str, name: str) -> type[Provider]:
        from flowkit.providers import registry

        return registry.find(kind, name)

    def missing(self, cls: type[Provider]) -> tuple[str, ...]:
        from flowkit.providers import registry

        return registry.missing(cls)


INSTALLED = Installed()
