"""What a host allows its tools holds for that host alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import flowkit
from flowkit import trust
from flowkit.errors import ConfigError
from flowkit.plan import resolve
from flowkit.plan.variants import with_playback
from flowkit.tools import Tools

SHOP = '''
def price(of: str) -> str:
    """What something costs.

    Args:
        of: the thing
    """
    return f"{of}: 3.50"


def broken(of) -> str:
    """It does not say what `of` is."""
    return ""
'''
PIPELINE = """flowkit: 1
tools: [{call: "TOOL"}]
stages:
  - {kind: gate}
  - kind: llm
    provider: scripted
    replies: [{text: "", calls: [{name: price, arguments: '{"of": "tea"}'}]}, {after: price, text: Here you are.}]
  - {kind: chunker}
  - {kind: tts, provider: print}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of tools, one agent for each of two names that it has, and one whose tool cannot be described."""
    monkeypatch.chdir(tmp_path)
    for name in ("teashop", "bookshop"):
        Path(f"{name}.py").write_text(SHOP)
        Path(f"{name}.yaml").write_text(PIPELINE.replace("TOOL", f"{name}:price"))
        monkeypatch.delitem(sys.modules, name, raising=False)
    Path("broken.yaml").write_text(PIPELINE.replace("TOOL", "teashop:broken"))
    return tmp_path


async def outcomes(host: flowkit.Host, plan: flowkit.Plan | None = None) -> list[str]:
    """What the tools said in a session that is asked once."""
    async with host.session(plan, turns=1) as session:
        session.type("What is tea?")
        with trio.fail_after(60):
            outcome = await session.outcome()
    return [tool.content for tool in outcome.figures.report().tools]


def planned(name: str) -> flowkit.Plan:
    """The plan, whatever its tools are."""
    return resolve(with_playback(flowkit.load(name)))


def run(main: Any) -> Any:
    return trio.run(main)


@pytest.mark.usefixtures("folder")
def test_two_hosts_do_not_see_one_another_s_tools() -> None:
    async def main() -> None:
        async with flowkit.open_host("teashop.yaml", allow_tools=["teashop"]) as tea:
            assert await outcomes(tea) == ["tea: 3.50"]
            with pytest.raises(ConfigError, match="'bookshop' may not be imported"):
                async with flowkit.open_host("bookshop.yaml", allow_tools=["teashop"]):
                    pass
            with pytest.raises(ConfigError, match="'teashop' may not be imported"):
                async with flowkit.open_host("teashop.yaml", allow_tools=["bookshop"]):
                    pass
            async with flowkit.open_host("bookshop.yaml", allow_tools=["bookshop"]) as books:
                assert await outcomes(books) == await outcomes(tea) == ["tea: 3.50"]
                with pytest.raises(ConfigError, match="'teashop' may not be imported"):
                    await outcomes(books, planned("teashop.yaml"))
        assert not trust.allows("teashop")

    run(main)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("source", [Path, flowkit.load, planned])
def test_it_holds_however_the_pipeline_is_given(source: Any) -> None:
    async def main() -> None:
        async with flowkit.open_host(source("teashop.yaml"), allow_tools=["teashop"]) as host:
            assert await outcomes(host) == ["tea: 3.50"]
            # Another plan of the same host may use its tools too.
            assert await outcomes(host, planned("teashop.yaml")) == ["tea: 3.50"]
        with pytest.raises(ConfigError, match="may not be imported"):
            async with flowkit.open_host(source("teashop.yaml")):
                pass

    run(main)


@pytest.mark.usefixtures("folder")
def test_a_function_that_is_allowed_is_checked_before_any_session() -> None:
    async def main() -> None:
        async with flowkit.open_host("broken.yaml", allow_tools=["teashop"]):
            raise AssertionError("it is open")

    with pytest.raises(ConfigError, match="has no annotation"):
        run(main)


def test_a_program_too_is_allowed_for_one_host(folder: Path) -> None:
    Path("server.yaml").write_text(PIPELINE.replace('{call: "TOOL"}', "{mcp: {command: [no-such-program]}}"))

    async def main(*allowed: str) -> None:
        async with flowkit.open_host("server.yaml", allow_tools=allowed):
            raise AssertionError("it is open")

    pytest.importorskip("mcp")
    with pytest.raises(ConfigError, match="may not be started"):
        run(main)
    with pytest.raises(Exception, match="no-such-program") as caught:
        trio.run(main, "no-such-program")
    assert "may not be started" not in str(caught.value)


def test_no_file_can_allow_its_own_tools() -> None:
    with pytest.raises(ValueError, match="allowed"):
        Tools.model_validate({"tools": [], "allowed": ["os"]})
    with pytest.raises(ValueError, match="_allowed"):
        Tools.model_validate({"tools": [], "_allowed": ["os"]})
    assert Tools().allowed == frozenset()
    assert Tools().allowing(["os"]).allowing(["sys"]).allowed == {"os", "sys"}
