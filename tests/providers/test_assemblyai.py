"""AssemblyAI's turns become utterances, and its audio clock is correct. Without I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError
from flowkit.messages import Final, Partial, Transcribe
from flowkit.providers.assemblyai.asr import AssemblyAI
from flowkit.providers.assemblyai.turns import Owed, ServerTurn, ServerTurns
from flowkit.providers.cloud.faults import CloudError, of_close
from tests.contract.support import Outcome, around, one_call


def turn(order: int, text: str, *, ended: bool = False, formatted: bool = False, end_ms: int = 1_000) -> ServerTurn:
    return ServerTurn(order, ended, formatted, text, end_ms)


def owed(utterance: int, end_ms: int = 1_000, give_up_us: int = 500_000) -> Owed:
    return Owed(utterance, end_ms, give_up_us)


def test_a_forced_end_answers_the_utterance() -> None:
    turns = ServerTurns()
    assert turns.heard(turn(0, "hello wor")) == [Partial("hello wor")]
    assert turns.ended(owed(1)) == []
    assert turns.heard(turn(0, "hello world", ended=True)) == [Final("hello world", 1)]
    assert turns.heard(turn(0, "hello world", ended=True)) == []
    assert turns.heard(turn(0, "hello")) == []


def test_several_turns_make_one_utterance() -> None:
    turns = ServerTurns()
    turns.heard(turn(0, "first", ended=True, end_ms=400))
    assert turns.heard(turn(1, "second")) == [Partial("first second")]
    assert turns.ended(owed(1)) == []
    assert turns.heard(turn(1, "second", ended=True)) == [Final("first second", 1)]


def test_a_turn_that_the_server_ended_in_time_is_not_waited_for() -> None:
    turns = ServerTurns()
    turns.heard(turn(0, "hello", ended=True, end_ms=900))
    assert turns.ended(owed(1, end_ms=1_000)) == [Final("hello", 1)]


def test_a_turn_that_ended_long_before_the_voice_is_not_all() -> None:
    turns = ServerTurns()
    turns.heard(turn(0, "hello", ended=True, end_ms=400))
    assert turns.ended(owed(1, end_ms=1_000)) == []
    assert turns.overdue(499_999) == []
    assert turns.overdue(500_000) == [Final("hello", 1)]


def test_what_was_given_unfinished_is_not_given_again() -> None:
    turns = ServerTurns()
    turns.heard(turn(0, "hello wor"))
    turns.ended(owed(1))
    assert turns.overdue(500_000) == [Final("hello wor", 1)]
    assert turns.heard(turn(0, "hello world", ended=True)) == []
    turns.ended(owed(2))
    assert turns.heard(turn(1, "again", ended=True)) == [Final("again", 2)]


def test_with_formatting_the_formatted_end_counts() -> None:
    turns = ServerTurns(formatted=True)
    turns.ended(owed(1))
    assert turns.heard(turn(0, "hello world", ended=True)) == [Partial("hello world")]
    assert turns.heard(turn(0, "Hello world.", ended=True, formatted=True)) == [Final("Hello world.", 1)]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=20))
def test_no_turn_is_ever_in_two_utterances(messages: list[tuple[int, bool, bool]]) -> None:
    turns, finals, number = ServerTurns(), [], 0
    for order, ended, end_utterance in messages:
        if end_utterance:
            number += 1
            finals += turns.ended(owed(number))
        finals += [item for item in turns.heard(turn(order, f"t{order}", ended=ended)) if isinstance(item, Final)]
    finals += turns.overdue(10**9)
    words = [word for final in finals for word in final.text.split()]
    assert len(words) == len(set(words))
    assert [final.utterance for final in finals] == sorted({final.utterance for final in finals})


@pytest.mark.parametrize(
    "message", [{}, {"turn_order": "0", "transcript": ""}, {"turn_order": 0, "transcript": "", "words": 1}]
)
def test_a_turn_without_its_fields_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(CloudError):
        ServerTurn.of(message)


@pytest.mark.parametrize(
    ("code", "trouble", "passing"),
    [
        (1000, "closed", True),
        (1006, "network", True),
        (1008, "auth", False),
        (1011, "server", True),
        (1013, "server", True),
        (3006, "request", False),
        (3007, "request", False),
        (3008, "closed", True),
        (3009, "limit", True),
        (4001, "request", False),
    ],
)
def test_what_a_close_code_means(code: int, trouble: str, passing: bool) -> None:
    error = of_close(code, "")
    assert (error.trouble, error.passing) == (trouble, passing)


@pytest.mark.parametrize("piece", ["20ms", "1500ms"])
def test_pieces_that_would_close_the_connection_are_refused(piece: str) -> None:
    with pytest.raises(ProviderError, match="piece must be 50ms to 1s"):
        one_call(AssemblyAI, AssemblyAI.Options(api_key="key", piece=piece), Transcribe())


def test_the_key_is_not_in_the_options_or_the_address() -> None:
    options = AssemblyAI.Options(api_key="very-secret")  # type: ignore[arg-type]
    assert "very-secret" not in repr(options) + options.model_dump_json()

    async def url() -> str:
        return AssemblyAI(options, around(Outcome())).url()

    import trio

    assert "very-secret" not in trio.run(url)
