"""A typed session: each line stands before its reply, and a terminal gets its prompt when a reply is over."""

from __future__ import annotations

from flowkit.engine import Fate, Row
from flowkit.messages import Fault, Message, ReplyPlayed, Utterance
from flowkit.report.plain import PlainView
from flowkit.report.typed import ERASE, TypedView


def row(stage: str, message: Message) -> Row:
    return Row(stage, 1, "", 0, 0, 0, 1, 1, message, Fate.HANDLED)


def shown(*, prints: bool, terminal: bool, seen: list[Message]) -> str:
    """What is written for messages that are handled."""
    written: list[str] = []
    lines = PlainView(lambda line: written.append(f"{line}\n"), voice="", user=not (terminal or prints))
    view = TypedView(written.append, lines, prints=prints, terminal=terminal)
    tell(view, seen)
    return "".join(written)


def tell(view: TypedView, seen: list[Message]) -> None:
    for message in seen:
        view.at_once([row("gate", message)])
        view.rows([row("gate", message)])


TURN: list[Message] = [Utterance(1, "Hi", ""), ReplyPlayed()]


def test_elsewhere_a_printed_reply_has_its_line_before_it_once() -> None:
    assert shown(prints=True, terminal=False, seen=[*TURN, *TURN]) == "> Hi\n"


def test_a_spoken_reply_has_the_line_of_its_row() -> None:
    assert shown(prints=False, terminal=False, seen=TURN) == "   0.000  user        Hi\n"


def test_a_terminal_shows_what_is_typed_by_itself_and_gets_a_prompt_after_each_reply() -> None:
    assert shown(prints=True, terminal=True, seen=[*TURN, *TURN]) == "> > "
    assert shown(prints=False, terminal=True, seen=TURN) == "> "


def test_a_reply_that_failed_and_was_played_so_far_gets_one_prompt() -> None:
    failed = [Utterance(1, "Hi", ""), Fault("llm", "no answer"), ReplyPlayed()]
    written = shown(prints=True, terminal=True, seen=failed)
    assert written.endswith("error       llm: no answer\n> ")
    assert written.count("> ") == 1


def test_a_greeting_has_no_prompt_before_it_and_the_end_has_none_after_it() -> None:
    written: list[str] = []
    view = TypedView(written.append, PlainView(lambda line: None), prints=True, terminal=True)
    tell(view, [Utterance(1, "", "Hello."), ReplyPlayed()])
    assert written == ["> "]
    tell(view, [Utterance(2, "", "Are you still there?")])
    assert written == ["> ", ERASE], "the agent speaks of its own accord"
    tell(view, [ReplyPlayed()])
    view.close()
    assert written[2:] == ["> ", ERASE], "nobody will answer the last prompt"
