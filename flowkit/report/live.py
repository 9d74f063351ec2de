"""The live view: a picture of a running session that stays in place, redrawn five times a second.

It needs a terminal of at least 80 columns. Without a terminal, ``plain`` is used instead. It draws in a thread of its
own, so that the event loop never waits for the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from flowkit.clock import US_PER_S, whole_ms
from flowkit.config.budgets import PARTS
from flowkit.engine import Engine
from flowkit.figures.cost import a_minute, money
from flowkit.figures.live import LiveFigures
from flowkit.figures.report import TurnReport
from flowkit.plan.graph import Plan
from flowkit.printable import one_line, printable
from flowkit.report.live_state import SILENT_DB, LiveState
from flowkit.report.observation import PER_SECOND, Observation

_STYLES = {
    "loading": "dim",
    "listening": "cyan",
    "hearing": "bold green",
    "concluding": "yellow",
    "thinking": "yellow",
    "speaking": "bold magenta",
    "held": "bold red",
}
_PART_STYLES = ("cyan", "blue", "bright_red", "magenta", "bright_cyan", "yellow", "white", "green", "red")
_PART_NAMES = ("endpoint", "asr", "busy", "llm", "tool", "clause", "queue", "tts", "play")
_TEXT_LINES = 5
_LEAST_LOG, _FIXED_LINES = 4, 15


class LiveView:
    """Draws the live view.

    `state` is an observer of the session. Wrap the session in ``with view.shown():``. Meanwhile ``say`` adds notices to
    the log.
    """

    def __init__(self, plan: Plan, *, file: IO[str] | None = None, console: Console | None = None) -> None:
        self.state = LiveState(plan)
        self._console = console or Console(file=file, highlight=False)

    def started(self, engine: Engine, figures: LiveFigures) -> None:
        """Start to show the session of `engine`."""
        self.state.started(engine, figures)

    def _now_us(self) -> int:
        """The engine's time. The clock itself may only be read on the event loop; frames keep the engine's time up to
        date."""
        return 0 if self.state.engine is None else self.state.engine.now_us

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the picture while the block runs. The last one stays on the terminal."""
        picture = Live(
            console=self._console,
            get_renderable=self.picture,
            refresh_per_second=PER_SECOND,
            transient=False,
            vertical_overflow="crop",  # a picture that scrolls could not be redrawn in place
            redirect_stderr=False,  # ``captured`` redirects the descriptor, which C code writes to as well
        )
        with picture:
            yield

    def say(self, line: str) -> None:
        """Add a notice to the log."""
        self.state.log.append(f"{self._now_us() / US_PER_S:8.3f}  {'':<11} {one_line(line)}")

    # -- drawing ----------------------------------------------------------------------------------------------------

    def picture(self) -> RenderableType:
        """The picture for the terminal's current size. Its height is constant while that size is."""
        width, height = self._console.size
        now = self.state.observed(self._now_us())
        more = [*_tools(now), *_cost(now)]
        log_lines = max(_LEAST_LOG, min(20, height - _FIXED_LINES - len(more) - 1))
        return Group(
            _head(now),
            _levels(now, width),
            Rule(style="dim"),
            *self._texts(now, width),
            Rule(style="dim"),
            _queues(now),
            *more,
            *_delay(now, width),
            Rule(style="dim"),
            *_log(now, log_lines),
        )

    def _texts(self, now: Observation, width: int) -> list[Text]:
        """The user's text and the reply, with the spoken part bright. The number of lines is constant."""
        shown = (now.partial, "italic dim") if now.partial else (now.user, "")
        user = Text.assemble(("user   ", "dim"), _tail(shown[0], width - 8), no_wrap=True, overflow="crop")
        user.stylize(shown[1], 7)
        reply = Text()
        for text, spoken in now.clauses:
            reply.append(printable(text[:spoken]), "bold")
            reply.append(printable(text[spoken:]), "dim")
        words = Text.assemble(*_plain_space(reply))
        wrapped = list(words.wrap(self._console, max(20, width - 8)))[-(_TEXT_LINES - 1) :]
        lines = [Text.assemble(("agent  " if i == 0 else "       ", "dim"), line) for i, line in enumerate(wrapped)]
        lines += [Text("agent", "dim")] if not lines else []
        return [user, *lines, *[Text("")] * (_TEXT_LINES - 1 - len(lines))]


def _head(now: Observation) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(width=12, no_wrap=True)
    row.add_column(width=10, justify="right", no_wrap=True)
    name = Text.assemble(("flowkit ", "dim"), (one_line(now.pipeline), "bold"))
    clock = f"{now.at_us // 60_000_000:02}:{now.at_us % 60_000_000 / US_PER_S:04.1f}"
    row.add_row(name, Text(f"● {now.turn}", style=_STYLES.get(now.turn, "")), Text(clock, style="dim"))
    return row


def _levels(now: Observation, width: int) -> RenderableType:
    size = max(8, min(24, (width - 30) // 2))
    line = Text(no_wrap=True, overflow="crop")
    line.append_text(_meter("you", now.user_db, size, "green"))
    line.append("   ")
    line.append_text(_meter("agent", now.agent_db, size, "magenta"))
    return line


def _queues(now: Observation) -> RenderableType:
    line = Text("queues ", "dim", no_wrap=True, overflow="ellipsis")
    for stage, waiting, most, dropped in now.queues:
        line.append(f" {stage} ", "")
        line.append(f"{waiting}/{most}", "bold yellow" if waiting >= most else "")
        line.append(f" ({dropped} dropped)" if dropped else "", "red")
        line.append(" ")
    return line


def _tools(now: Observation) -> list[RenderableType]:
    """The tools that run, and for how long. No line if the agent has no tools."""
    if now.tools is None:
        return []
    line = Text("tools  ", "dim", no_wrap=True, overflow="ellipsis")
    for name, running_us in now.tools:
        line.append(f" {one_line(name)} ", "bold")
        line.append(f"{running_us / US_PER_S:.1f} s ", "yellow")
    return [line]


def _cost(now: Observation) -> list[RenderableType]:
    """What the session has cost so far, and each stage of it. No line if no provider has a price."""
    if now.cost is None:
        return []
    minute = a_minute(now.cost, now.at_us)
    line = Text("cost    ", "dim", no_wrap=True, overflow="ellipsis")
    line.append(money(now.cost.whole.amount, now.cost.currency), "bold")
    line.append("" if minute is None else f", {money(minute, now.cost.currency)} a minute", "dim")
    for id_, stage in now.cost.stages.items():
        line.append(f"  {id_} ", "dim").append(money(stage.amount))
    return [line]


def _delay(now: Observation, width: int) -> list[RenderableType]:
    """TTFA of the newest turn: as a number, as a bar of its parts against the budget, and its parts in words."""
    turn = now.newest
    if turn is None:
        # As many lines as with a turn, so that the picture keeps its height.
        return [Text("first audio", "dim"), Text(""), Text("")]
    assert turn.parts_us is not None
    return [
        _verdict(turn, now.bound_us, now.late),
        _bar(turn.parts_us, now.bound_us, max(20, width - 8)),
        _parts(turn.parts_us),
    ]


def _log(now: Observation, lines: int) -> list[Text]:
    newest = now.log[-lines:]
    shown = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in newest]
    return [*shown, *[Text("")] * (lines - len(shown))]


def _meter(name: str, db: float, size: int, style: str) -> Text:
    full = round(size * (1 - db / SILENT_DB))
    text = Text(f"{name:<6} ", "dim")
    text.append("█" * full, style if db < -3 else "bold red")
    text.append("░" * (size - full), "dim")
    return text.append(f" {db:4.0f}" if db > SILENT_DB else "    -", "dim")


def _tail(text: str, room: int) -> str:
    """The end of `text`, if it is longer than `room` characters: what was said last."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= room else "…" + text[-(room - 1) :]


def _plain_space(text: Text) -> list[Text]:
    """The text on one line. Line breaks in a reply would change the picture's height."""
    plain = Text(text.plain.translate({10: " ", 13: " ", 9: " "}))
    for span in text.spans:
        plain.stylize(span.style, span.start, span.end)
    return [plain]


def _verdict(turn: TurnReport, bound_us: int | None, late: list[str]) -> Text:
    assert turn.ttfa_us is not None
    text = Text("first audio ", "dim", no_wrap=True, overflow="ellipsis")
    text.append(f"{whole_ms(turn.ttfa_us)} ms", "bold red" if late else "bold")
    text.append(f" in turn {turn.turn}", "dim")
    if bound_us is not None:
        text.append(f", budget {whole_ms(bound_us)} ms", "dim")
    if late:
        text.append(f"  over: {'; '.join(late)}", "red")
    return text


def _bar(parts_us: tuple[int, ...], bound_us: int | None, size: int) -> Text:
    """The parts as a bar. Its length is the budget or the sum, whichever is longer; the end of the budget is marked."""
    most_us = max(sum(parts_us), bound_us or 0, 1)
    text = Text("       ", no_wrap=True, overflow="crop")
    done_us, drawn = 0, 0
    for part_us, style in zip(parts_us, _PART_STYLES, strict=True):
        done_us += part_us
        # From the sum so far, so that what is lost by rounding does not add up.
        cells = round(size * done_us / most_us) - drawn
        text.append("█" * cells, style)
        drawn += cells
    text.append("░" * (size - drawn), "dim")
    if bound_us is not None:
        mark = 7 + min(size - 1, round(size * bound_us / most_us))
        text = Text.assemble(text[:mark], ("│", "bold"), text[mark + 1 :], no_wrap=True, overflow="crop")
    return text


def _parts(parts_us: tuple[int, ...]) -> Text:
    text = Text("       ", no_wrap=True, overflow="ellipsis")
    for name, us, style in zip(_PART_NAMES, parts_us, _PART_STYLES, strict=True):
        text.append(f"{name} ", "dim")
        text.append(f"{whole_ms(us)}", style)
        text.append("  ")
    return text


# Parts are drawn by position, so a new part needs a name and a colour here.
assert len(_PART_NAMES) == len(PARTS) == len(_PART_STYLES)
