"""A session in the background: it is told things, ends with its body, and its errors come out alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import flowkit
from flowkit.errors import Refused, SessionOver
from flowkit.plan import require
from tests.runtime.test_threaded import AGENT


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(AGENT.replace("{at: 0ms, lasts: 100ms}", ""))
    return path


def run(main: Callable[[], Any]) -> Any:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_what_is_typed_is_answered(agent: Path) -> None:
    async def main() -> list[tuple[str, str, str]]:
        said = []
        async with flowkit.open_host(agent) as host, host.session() as session:
            for line in ("Hello?", "And now?"):
                session.type(line)
                turn = await session.reply()
                said.append((turn.user, turn.heard, turn.end_reason))
        assert (await session.outcome()).reason == "closed"
        return said

    assert run(main) == [("Hello?", "Good day.", "completed"), ("And now?", "Good day.", "completed")]


def test_a_reply_that_is_over_before_it_is_awaited(agent: Path) -> None:
    async def main() -> list[int]:
        async with flowkit.open_host(agent) as host, host.session() as session:
            session.type("Hello?")
            await trio.sleep(10)
            first = await session.reply()
            with trio.move_on_after(10) as waited:
                await session.reply()
            assert waited.cancelled_caught  # each turn is returned once
            session.type("And now?")
            return [first.turn, (await session.reply()).turn]

    assert run(main) == [1, 2]


def test_a_greeting_is_a_reply_too(agent: Path) -> None:
    agent.write_text(AGENT.replace("{at: 0ms, lasts: 100ms}", "") + "greeting: {text: Welcome.}\n")

    async def main() -> list[str]:
        async with flowkit.open_host(agent) as host:
            async with host.session() as session:
                first = await session.reply()
            async with host.session() as hasty:
                hasty.type("Hello?")
                only = await hasty.reply()
        return [first.agent, only.agent]

    assert run(main) == ["Welcome.", "Good day."]


def test_of_turns_that_interrupt_one_another_the_last_is_the_reply(agent: Path) -> None:
    async def main() -> str:
        async with flowkit.open_host(agent) as host, host.session() as session:
            for line in ("One.", "Two.", "Three."):
                session.type(line)
                await trio.sleep(0.03)  # long enough for a sound of the reply, too short for all of it
            return (await session.reply()).user

    assert run(main) == "Three."


def test_what_is_said_aloud_is_waited_for_too(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(AGENT)

    async def main() -> str:
        async with flowkit.open_host(path) as host, host.session() as session:
            return (await session.reply()).user

    assert run(main) == "Hello."


def test_a_session_that_ends_has_no_further_reply(agent: Path) -> None:
    async def main() -> list[str]:
        async with flowkit.open_host(agent) as host, host.session(duration_us=50_000) as session:
            session.type("Hello?")
            cut_off = await session.reply()
            with pytest.raises(SessionOver, match="closed"):
                await session.reply()
        return [cut_off.user, cut_off.end_reason]

    assert run(main) == ["Hello?", "session_closed"]


def test_a_reply_is_given_up(agent: Path) -> None:
    async def main() -> str:
        async with flowkit.open_host(agent) as host, host.session() as session:
            session.type("Hello?")
            await trio.sleep(0.03)
            session.stop()
            return (await session.reply()).end_reason

    assert run(main) == "interrupted"


def test_it_ends_by_itself_or_when_it_is_told(agent: Path) -> None:
    async def main() -> list[str]:
        async with flowkit.open_host(agent) as host:
            async with host.session(duration_us=50_000) as first:
                first_over = await first.outcome()
            async with host.session() as second:
                second.close()
                second_over = await second.outcome()
                second.type("Nobody hears this.")
        return [first_over.reason, second_over.reason]

    assert run(main) == ["closed", "closed"]


def test_errors_come_alone(agent: Path) -> None:
    async def refused() -> None:
        async with flowkit.open_host(agent, max_sessions=1) as host, host.session(), host.session():
            pass

    async def own() -> None:
        async with flowkit.open_host(agent) as host, host.session():
            raise ValueError("of the body")

    with pytest.raises(Refused):
        run(refused)
    with pytest.raises(ValueError, match="of the body"):
        run(own)


PRINTED = """flowkit: 1
stages:
  - {kind: gate}
  - {kind: llm, provider: scripted, first_token: 0ms, per_token: 0ms, replies: [{text: "It is 3.50. Here."%s}]}
  - {kind: chunker}
  - {kind: tts, provider: print}
"""


def printed(tmp_path: Path, calls: str = "", tools: str = "") -> Path:
    path = tmp_path / "printed.yaml"
    path.write_text(PRINTED % calls + tools)
    return path


@pytest.mark.parametrize("as_plan", [False, True])
def test_a_turn_without_a_speaker_is_over_when_its_last_clause_is_printed(as_plan: bool, tmp_path: Path) -> None:
    path, trace = printed(tmp_path), tmp_path / "a.jsonl"

    async def main() -> flowkit.SessionOutcome:
        source = require(flowkit.load(path)) if as_plan else path
        options = {} if as_plan else {"trace": trace}
        async with flowkit.open_host(source) as host, host.session(turns=2, **options) as session:
            with trio.fail_after(60):
                session.type("What is it?")
                assert (await session.reply()).agent == "It is 3.50. Here."
                session.type("And then?")
                return await session.outcome()

    outcome = trio.run(main)
    assert [turn.end_reason for turn in outcome.figures.report().turns] == ["completed", "completed"]
    assert as_plan or flowkit.replay.exactly(trace).same


def test_an_agent_without_a_speaker_can_end_the_call(tmp_path: Path) -> None:
    path = printed(tmp_path, ", calls: [{name: bye}]", "tools: [{name: bye, builtin: end_session}]\n")

    async def main() -> flowkit.SessionOutcome:
        async with flowkit.open_host(path) as host, host.session() as session:
            session.type("Bye.")
            with trio.fail_after(60):
                assert (await session.reply()).user == "Bye."
                with pytest.raises(SessionOver, match="agent_ended"):
                    await session.reply()
                return await session.outcome()

    assert trio.run(main).reason == "agent_ended"
