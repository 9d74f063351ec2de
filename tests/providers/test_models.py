"""Sessions with equal options share a model, and the last one closes it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit.errors import ProviderError, ProviderMissing
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.providers.base import Emit, Provider
from flowkit.providers.models import Models, open_models, opened
from flowkit.providers.registry import find, has_model
from tests.providers.support import FakeSession


class Sharing(Provider):
    """Records what happens to its models."""

    kind, name = "tts", "sharing"
    told: ClassVar[list[str]] = []
    breaks: ClassVar[trio.Event]

    class Options(Options):
        voice: str = "a"

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[str]:
        await trio.sleep(1)
        if options.voice == "none":
            raise ProviderError("there is no such voice")
        cls.told.append(f"+{options.voice}")
        if options.voice == "fragile":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cls.breaking)
                yield options.voice
        else:
            yield options.voice
        cls.told.append(f"-{options.voice}")

    @classmethod
    async def breaking(cls) -> None:
        await cls.breaks.wait()
        raise OSError("the process is gone")

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        """Ignores notices."""


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    Sharing.told = []
    Sharing.breaks = trio.Event()


def run(main: Any, *args: Any) -> Any:
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


def a_voice(models: Models, voice: str = "a") -> Any:
    return opened(Sharing, Sharing.Options(voice=voice), FakeSession().around(), models)


def test_sessions_with_equal_options_share_and_the_last_one_closes() -> None:
    async def main() -> None:
        async with open_models(print) as models:
            async with a_voice(models) as one:
                async with a_voice(models) as two, a_voice(models, "b") as other:
                    assert (one.model, two.model, other.model) == ("a", "a", "b")
                    assert Sharing.told == ["+a", "+b"]
                await wait_all_tasks_blocked()
                assert Sharing.told == ["+a", "+b", "-b"]
            await wait_all_tasks_blocked()
            assert Sharing.told[3:] == ["-a"]
            async with a_voice(models):
                assert Sharing.told[4:] == ["+a"]

    run(main)


def test_whoever_comes_while_it_loads_waits_for_the_same() -> None:
    async def main() -> list[float]:
        came = []

        async def session(models: Models, at_s: float) -> None:
            await trio.sleep(at_s)
            async with a_voice(models):
                came.append(trio.current_time())
                await trio.sleep(5)

        async with open_models(print) as models, trio.open_nursery() as nursery:
            for at_s in (0, 0.5, 0.9):
                nursery.start_soon(session, models, at_s)
        return came

    assert run(main) == [1.0, 1.0, 1.0]
    assert Sharing.told == ["+a", "-a"]


def test_one_that_leaves_while_it_loads_does_not_end_it_for_the_others() -> None:
    async def main() -> None:
        async def session(models: Models) -> None:
            async with a_voice(models):
                await trio.sleep(5)

        async with open_models(print) as models, trio.open_nursery() as nursery:
            nursery.start_soon(session, models)
            with trio.move_on_after(0.5):
                await session(models)

    run(main)
    assert Sharing.told == ["+a", "-a"]


def test_if_all_leave_while_it_loads_it_is_given_up() -> None:
    async def main() -> float:
        async with open_models(print) as models:
            with trio.move_on_after(0.5):
                async with a_voice(models):
                    raise AssertionError
        return trio.current_time()

    assert run(main) == 0.5
    assert Sharing.told == []


def test_a_failure_is_told_to_all_who_wait_and_the_next_tries_again() -> None:
    async def main() -> list[str]:
        errors = []

        async def session(models: Models) -> None:
            with pytest.raises(ProviderError, match="there is no such voice") as caught:
                async with a_voice(models, "none"):
                    raise AssertionError
            errors.append(str(caught.value))

        async with open_models(print) as models:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(session, models)
            await session(models)
        return errors

    assert len(run(main)) == 4


def test_one_that_breaks_down_ends_those_who_use_it_and_no_others() -> None:
    notices: list[str] = []

    async def main() -> None:
        async def user(models: Models) -> None:
            with pytest.raises(ProviderError, match="tts sharing: failed"):
                async with a_voice(models, "fragile"):
                    await trio.sleep_forever()

        async def bystander(models: Models) -> None:
            async with a_voice(models):
                await trio.sleep(10)

        async with open_models(notices.append) as models, trio.open_nursery() as nursery:
            nursery.start_soon(user, models)
            nursery.start_soon(user, models)
            nursery.start_soon(bystander, models)
            await trio.sleep(3)
            Sharing.breaks.set()

    run(main)
    assert Sharing.told == ["+a", "+fragile", "-a"] or Sharing.told == ["+fragile", "+a", "-a"]
    assert any(": failed: " in line for line in notices)


def test_cancelled_with_its_sessions_it_is_closed_behind_them() -> None:
    async def main() -> None:
        async def user(models: Models) -> None:
            async with a_voice(models):
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(0.5)
                    Sharing.told.append("left")

        with trio.move_on_after(3):
            async with open_models(lambda line: None) as models, trio.open_nursery() as nursery:
                nursery.start_soon(user, models)
                nursery.start_soon(user, models)

    run(main)
    assert Sharing.told == ["+a", "left", "left", "-a"]


def test_what_is_not_installed_is_said_before_anything_is_loaded() -> None:
    class Elsewhere(Sharing):
        requires = ("no_such_module",)
        install = "pip install elsewhere"

    async def main() -> None:
        async with opened(Elsewhere, Sharing.Options(), FakeSession().around()):
            raise AssertionError

    with pytest.raises(ProviderMissing, match="no module no_such_module"):
        run(main)
    assert Sharing.told == []


def test_progress_is_told_once_however_many_wait() -> None:
    notices: list[str] = []

    async def main() -> None:
        async with open_models(notices.append) as models, a_voice(models), a_voice(models):
            pass

    run(main)
    assert [line.split(":")[1][:6] for line in notices] == [" loadi", " ready"]


@given(
    sessions=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 30), st.booleans()), max_size=12
    )
)
def test_however_they_overlap_each_has_a_model_that_is_open(sessions: list[tuple[str, int, int, bool]]) -> None:
    Sharing.told = []

    async def session(models: Models, voice: str, at: int, lasts: int, impatient: bool) -> None:
        await trio.sleep(at / 10)
        with trio.move_on_after(lasts / 10 if impatient else 100):
            async with a_voice(models, voice) as provider:
                assert provider.model == voice
                await trio.sleep(lasts / 10)
                told = "".join(Sharing.told)
                assert told.count(f"+{voice}") == told.count(f"-{voice}") + 1, "one, and it is open"

    async def main() -> None:
        async with open_models(lambda line: None) as models, trio.open_nursery() as nursery:
            for each in sessions:
                nursery.start_soon(session, models, *each)

    run(main)
    for voice in "abc":
        assert Sharing.told.count(f"+{voice}") == Sharing.told.count(f"-{voice}")


SHIPPED: dict[str, dict[str, Any]] = {
    "vad.silero": {},
    "asr.moonshine": {},
    "llm.llamacpp": {},
    "tts.piper": {"voice": "en_US-lessac-medium"},
    "tts.nanotts": {},
    "asr.assemblyai": {"api_key": "key"},
    "llm.groq": {"api_key": "key", "model": "some"},
    "llm.openai_compatible": {"base_url": "http://127.0.0.1:1/v1", "model": "some"},
    "tts.cartesia": {"api_key": "key", "voice": "some"},
}


@pytest.mark.parametrize("place", SHIPPED)
def test_fifty_sessions_of_a_shipped_provider_load_it_once(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has options of its own, which are equal."""
    kind, name = place.split(".")
    cls = find(kind, name)
    assert has_model(cls)
    loaded: list[str] = []

    @asynccontextmanager
    async def load(options: Any) -> AsyncIterator[str]:
        loaded.append("loaded")
        yield "the model"

    monkeypatch.setattr(cls, "load", load)
    monkeypatch.setattr(cls, "requires", ())
    wanted = {key: value for key, value in SHIPPED[place].items() if key in cls.Options.model_fields}

    async def main() -> None:
        async def session(models: Models) -> None:
            async with models.shared(cls, cls.Options.model_validate(wanted)) as model:
                assert model == "the model"
                await trio.sleep(1)

        async with open_models(lambda line: None) as models, trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(session, models)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert loaded == ["loaded"]
