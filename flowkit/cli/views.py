"""What ``flowkit run`` shows of a session: nothing (json), lines, or a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowkit.cli.streams import raw

if TYPE_CHECKING:
    from flowkit.engine import Engine
    from flowkit.engine.observer import Observer
    from flowkit.figures.live import LiveFigures
    from flowkit.plan import Plan
    from flowkit.report.live import LiveView

Say = Callable[[str], None]


class RunView:
    """A session's view. `observers` watch it, and `say` shows a notice."""

    def __init__(
        self,
        say: Say,
        lines: Observer | None = None,
        picture: LiveView | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        watching = lines if picture is None else picture.state
        self.observers: tuple[Observer, ...] = () if watching is None else (watching,)
        self.say = say if picture is None else picture.say
        self._picture = picture
        self._begin = begin

    def started(self, engine: Engine, figures: LiveFigures) -> None:
        """The session begins."""
        if self._picture is not None:
            self._picture.started(engine, figures)
        self._begin()
        mic = engine.plan.only("mic")
        if mic is not None and mic.provider is not None and mic.provider.name == "device":
            self.say("listening; Ctrl-C ends the session")


@contextmanager
def shown(plan: Plan, form: str | None, *, typed: bool, say: Say) -> Iterator[RunView]:
    """The view that fits: a picture only on a terminal, and not while lines are typed.

    Args:
        plan: the session's plan.
        form: `rich`, `plain` or `json`; None for what fits.
        typed: whether the user types instead of speaking.
        say: shows a notice where there is no picture.
    """
    picture = sys.stdout.isatty() and not typed
    form = form or ("rich" if picture else "plain")
    if form == "json":
        yield RunView(say)
    elif form == "rich" and picture:
        from flowkit.report.captured import captured_stderr
        from flowkit.report.live import LiveView

        view = LiveView(plan, file=raw(sys.stdout))
        # A library that writes to standard error would tear the picture.
        with captured_stderr(view.say), view.shown():
            yield RunView(say, picture=view)
    elif typed:
        yield from _typing(plan, say)
    else:
        yield RunView(say, _lines(plan))


def _typing(plan: Plan, say: Say) -> Iterator[RunView]:
    """Typed lines and their replies. On a terminal the user sees what was typed, and needs a prompt instead."""
    from flowkit.report.typed import TypedView

    terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def write(text: str) -> None:
        # To the raw stream, because the other one would print as an escape what erases a prompt.
        print(text, end="", file=raw(sys.stdout), flush=True)

    def begin() -> None:
        say("type a line and press Enter; Ctrl-D ends the session")
        if not _greets(plan):  # the prompt comes after the greeting
            view.prompt()

    view = TypedView(write, _lines(plan, user=not (terminal or plan.silent)), prints=plan.silent, terminal=terminal)
    yield RunView(say, view, begin=begin) if terminal else RunView(say, view)
    if terminal:
        view.close()


def _lines(plan: Plan, *, user: bool = True) -> Observer:
    from flowkit.report.plain import PlainView

    voice = plan.only("tts")
    # Flushed, so that a program which reads the lines sees each of them at once.
    name = "" if voice is None or plan.silent else voice.id
    return PlainView(lambda line: print(line, flush=True), voice=name, user=user)


def _greets(plan: Plan) -> bool:
    gate = plan.only("gate")
    return gate is not None and getattr(gate.options, "greeting", None) is not None
