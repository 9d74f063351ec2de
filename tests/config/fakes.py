"""A catalog for tests: flowkit's own kinds, and providers with every sort of option, some of them absent or broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.config.catalog import Installed
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider
from flowkit.stages.base import Actions, Stage


class Quiet(Provider):
    """Does nothing."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        return None


class Robot(Quiet):
    kind = "tts"
    name = "robot"

    class Options(opt.Options):
        api_key: opt.Secret
        """Key."""
        speed: float = Field(1.0, gt=0, le=4.0)
        """Speed."""
        voice: str = "anna"
        """Voice."""
        count: int = 3
        """A number."""
        loud: bool = False
        """A switch."""
        warm: opt.Duration = opt.us("1s")
        """A duration."""


class Absent(Robot):
    name = "absent"
    requires = ("no_such_module_anywhere",)
    install = "pip install flowkit-voice[absent]"

    class Options(opt.Options):
        pass


class Blocking(Quiet):
    kind = "llm"
    name = "blocking"
    blocks = True


class AtOnce(Quiet):
    kind = "llm"
    name = "at_once"
    streams: ClassVar[bool] = False


class Echo(Stage[None]):
    """A custom stage that takes and emits clauses, so it can be part of a cycle."""

    kind = "echo"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses", "tokens")}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}

    class Options(opt.Options):
        pass

    def fresh(self) -> None:
        return None

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        return ()


class Patient(Echo):
    """A custom stage of the reply that waits for all of it and takes no interrupt."""

    kind = "patient"
    replying = True
    awaits_reply: ClassVar[bool] = True


class Fake(Installed):
    """What is installed, and the classes above."""

    own: ClassVar[dict[tuple[str, str], type[Provider]]] = {
        (cls.kind, cls.name): cls for cls in (Robot, Absent, Blocking, AtOnce)
    }
    stages: ClassVar[dict[str, type[Stage[Any]]]] = {"echo": Echo, "patient": Patient}

    def kinds(self) -> tuple[str, ...]:
        return (*super().kinds(), *self.stages)

    def stage(self, kind: str) -> type[Stage[Any]]:
        if kind == "twice":
            raise ConfigError("kind 'twice' is declared by one and two", hint="uninstall one of them")
        return self.stages[kind] if kind in self.stages else super().stage(kind)

    def providers(self, kind: str) -> tuple[str, ...]:
        return (*super().providers(kind), *(name for of, name in self.own if of == kind))

    def provider(self, kind: str, name: str) -> type[Provider]:
        if name == "twice":
            raise ConfigError("provider 'tts.twice' is declared by one and two", hint="uninstall one of them")
        if name == "broken":
            raise ProviderError("provider 'tts.broken' of package x cannot be imported: no")
        if (kind, name) in self.own:
            return self.own[kind, name]
        if name not in self.providers(kind):
            raise ProviderMissing("unknown")
        return super().provider(kind, name)


FAKE = Fake()
