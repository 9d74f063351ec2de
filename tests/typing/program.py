"""A program as a type checker sees it. It is checked with flowkit itself (`make types`), and never run."""

from __future__ import annotations

from typing import assert_type

import flowkit
from flowkit.figures.report import Report


async def main() -> str:
    config = flowkit.load("agent.yaml", set=["name=x"])
    assert_type(config, flowkit.Config)
    async with flowkit.open_host(config) as host:
        assert_type(host, flowkit.Host)
        assert_type(host.plan, flowkit.Plan)
        async with host.session(turns=1) as session:
            assert_type(session, flowkit.Session)
            session.type("Hello")
            assert_type((await session.reply()).agent, str)
            outcome = await session.outcome()
            assert_type(outcome, flowkit.SessionOutcome)
            return outcome.reason


def replayed() -> None:
    assert_type(flowkit.replay.run("a.jsonl").report, Report)
    assert_type(flowkit.replay.exactly("a.jsonl"), flowkit.replay.Exactly)


flowkit.load(1)  # type: ignore[arg-type]
flowkit.nonsense  # type: ignore[attr-defined] # noqa: B018
