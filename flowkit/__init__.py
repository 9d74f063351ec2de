"""flowkit: a declarative framework for real-time voice agents.

The public names are few, and docs/stability.md says what can be relied on. Each is imported when it is first used, so
that ``import flowkit`` is fast. `messages` and `replay` are packages: ``flowkit.messages.Utterance``,
``flowkit.replay.run``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from `typing`, whose import would take most of the chunker's start time
if TYPE_CHECKING:
    from flowkit import messages, replay
    from flowkit.chunker import Chunk, Chunker, Rules
    from flowkit.config import Config
    from flowkit.config.trusted import load
    from flowkit.plan import Plan, with_ends
    from flowkit.providers.base import Provider
    from flowkit.runtime.handle import Session
    from flowkit.runtime.host import Host, open_host
    from flowkit.runtime.session import SessionOutcome
    from flowkit.runtime.threaded import HostThread, SessionThread, open_host_in_thread
    from flowkit.stages.base import Stage

__version__ = "0.1.0.dev0"
__all__ = [
    "Chunk",
    "Chunker",
    "Config",
    "Host",
    "HostThread",
    "Plan",
    "Provider",
    "Rules",
    "Session",
    "SessionOutcome",
    "SessionThread",
    "Stage",
    "__version__",
    "load",
    "messages",
    "open_host",
    "open_host_in_thread",
    "replay",
    "with_ends",
]
_PLACES = {
    "Chunk": "chunker",
    "Chunker": "chunker",
    "Rules": "chunker",
    "Config": "config",
    "load": "config.trusted",
    "Plan": "plan",
    "with_ends": "plan",
    "Provider": "providers.base",
    "Stage": "stages.base",
    "Host": "runtime.host",
    "open_host": "runtime.host",
    "Session": "runtime.handle",
    "SessionOutcome": "runtime.session",
    "HostThread": "runtime.threaded",
    "SessionThread": "runtime.threaded",
    "open_host_in_thread": "runtime.threaded",
}
_PACKAGES = ("messages", "replay")


if not TYPE_CHECKING:  # to a type checker, an unknown name is an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        from importlib import import_module

        if name in _PACKAGES:
            return import_module(f"flowkit.{name}")
        if (place := _PLACES.get(name)) is not None:
            return getattr(import_module(f"flowkit.{place}"), name)
        raise AttributeError(f"module 'flowkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
