"""A client that says nothing is asked whether it is there, and goes only if it does not answer. Timers are late here."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.serve.wire import Caller, site

_PING = 0x89


class Far:
    """A client's end of a connection on which whatever comes takes `late_s`. `pinged_s` has when each ping has come."""

    def __init__(self, stream: Any, late_s: float) -> None:
        self.send_all = stream.send_all
        self.pinged_s: list[float] = []
        self._receive, self._late_s = stream.receive_some, late_s

    async def receive_some(self) -> bytes:
        data: bytes = await self._receive()
        await trio.sleep(self._late_s)
        if data[:1] == bytes([_PING]):
            self.pinged_s.append(trio.current_time())
        return data


async def until(end_s: float, step_s: float, clock: MockClock) -> None:
    """Let time pass in steps, so that each timer is late by up to one."""
    while trio.current_time() < end_s:
        await wait_all_tasks_blocked()
        clock.jump(step_s)
    await wait_all_tasks_blocked()


def quiet(late_s: float, step_s: float, end_s: float) -> tuple[list[float], list[dict[str, Any]]]:
    """When a client was pinged that is so far away, and what the server has logged by then."""
    clock = MockClock()

    async def main() -> tuple[list[float], list[dict[str, Any]]]:
        async with site() as it, trio.open_nursery() as nursery:
            stream = Far(it.connect(), late_s)
            client = Caller(stream)

            async def stays() -> None:
                assert await client.open()
                await client.until_closed()

            nursery.start_soon(stays)
            await until(end_s, step_s, clock)
            nursery.cancel_scope.cancel()
            return stream.pinged_s, list(it.logged)

    return trio.run(main, clock=clock)


@pytest.mark.parametrize("step_s", [0.3, 1.5, 3.0])
@pytest.mark.parametrize("late_s", [0.02, 1.5])
def test_a_client_that_answers_stays_and_a_proxy_sees_a_ping_every_20_seconds(late_s: float, step_s: float) -> None:
    pinged_s, logged = quiet(late_s, step_s, 130)
    assert [line["event"] for line in logged] == ["session began"]
    gaps = [after - before for before, after in zip([0.0, *pinged_s], pinged_s, strict=False)]
    assert len(gaps) >= 4
    assert max(gaps) <= 20 + late_s + 3 * step_s


def test_a_client_that_does_not_answer_goes_after_40_seconds() -> None:
    assert [line["event"] for line in quiet(30, 0.5, 39)[1]] == ["session began"]
    _, logged = quiet(30, 0.5, 42)
    assert logged[-1]["event"] == "session ended"
    assert "the client does not answer" in str(logged[-1])
