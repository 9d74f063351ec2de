"""`shutdown.grace`: how long provider calls may take to end once the session does."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
import trio.testing

from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Emit, Provider
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.testing.sessions import plan_from_yaml, providers_of

PIPELINE = """
flowkit: 1
stages:
  - {kind: mic, provider: scripted, speech: [{at: 0ms, lasts: 200ms}], length: 600s}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted, utterances: [Hello.]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: Hello.}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: memory}
"""
CLOSED_S = 1.0


def ends_slowly(goodbye_s: float, ended: list[float]) -> type[Provider]:
    """An ASR that needs a while after its last frame, as for a socket's closing handshake; it notes when it was through."""

    class EndsSlowly(Provider):
        kind, name = "asr", "slow"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            async for _ in fed:
                pass
            await trio.sleep(goodbye_s)
            ended.append(trio.current_time())

    return EndsSlowly


def with_asr(plan: Plan, cls: type[Provider]) -> Plan:
    choice = ProviderChoice(cls.name, cls, Options())
    return replace(plan, stages=tuple(replace(s, provider=choice) if s.kind == "asr" else s for s in plan.stages))


def closed(plan: Plan) -> float:
    """Close a session of `plan` after a second, on a clock that jumps; when it was over."""

    async def main() -> float:
        clock = SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock) as providers, trio.open_nursery() as nursery:
            pump = TrioPump(plan, providers, clock, alarms, settled=trio.testing.wait_all_tasks_blocked)
            nursery.start_soon(pump.run)
            await trio.sleep(CLOSED_S)
            pump.close("closed")
        return trio.current_time()

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("grace", "grace_s"), [("", 2), ("shutdown: {grace: 500ms}", 0.5), ("shutdown: {grace: 5s}", 5)]
)
@pytest.mark.parametrize("goodbye_s", [0.0, 0.25, 1.5, 3.0, 60.0])
def test_a_call_has_the_grace_and_no_more(grace: str, grace_s: float, goodbye_s: float) -> None:
    ended: list[float] = []
    over_s = closed(with_asr(plan_from_yaml(PIPELINE + grace), ends_slowly(goodbye_s, ended)))
    assert over_s - CLOSED_S == pytest.approx(min(goodbye_s, grace_s), abs=0.011)  # it looks every 5 ms
    assert ended == ([pytest.approx(CLOSED_S + goodbye_s, abs=0.011)] if goodbye_s < grace_s else [])
