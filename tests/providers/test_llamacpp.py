from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError, ProviderMissing
from flowkit.history import remembered
from flowkit.messages import Ask, Exchange, Message, Token
from flowkit.providers import weights
from flowkit.providers.llamacpp.llm import DEMO_EXAMPLES, LlamaCpp, prompt
from flowkit.providers.models import opened
from tests.providers.support import FakeSession, answer, installed

FRANCE = Ask(1, "What is the capital of France?")


def options(**given: object) -> LlamaCpp.Options:
    return LlamaCpp.Options.model_validate(given)


def text(items: list[Message]) -> str:
    return "".join(item.text for item in items if isinstance(item, Token))


def test_the_model_is_told_system_examples_past_and_question() -> None:
    past = (Exchange("Hi.", "Hello."), Exchange("And?", ""))
    messages = prompt(options(system="Be brief.", examples=[{"user": "a", "agent": "b"}]), Ask(3, "Why?", past))
    assert [(message["role"], message["content"]) for message in messages] == [
        ("system", "Be brief."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "And?"),
        ("user", "Why?"),
    ]


def reached(count: int, items: list[Message]) -> bool:
    return len(items) == count


@pytest.mark.parametrize(("given", "count"), [({}, len(DEMO_EXAMPLES)), ({"model": "x.gguf"}, 0)])
def test_only_the_bundled_model_has_examples_of_its_own(given: dict[str, object], count: int) -> None:
    assert len(prompt(options(**given), FRANCE)) == 2 + 2 * count


@given(st.integers(0, 60), st.integers(0, 20))
def test_the_newest_exchanges_are_remembered_and_the_beginning_seldom_moves(count: int, most: int) -> None:
    history = tuple(Exchange(str(i), "") for i in range(count))
    kept = remembered(history, most)
    assert len(kept) <= most
    assert kept == history[count - len(kept) :]
    assert len(kept) >= min(count, most - max(1, most // 2) + 1) or not most
    longer = remembered((*history, Exchange("next", "")), most)
    assert longer[: len(kept)] == kept or len(longer) <= most - max(1, most // 2) + 1


@installed(LlamaCpp)
def test_it_answers() -> None:
    """All checks use one loaded model."""

    async def main() -> None:
        async with opened(LlamaCpp, LlamaCpp.Options(), FakeSession().around()) as llm:
            first = await answer(llm, FRANCE)
            assert "Paris" in text(first.items)
            assert [token.index for token in first.of(Token)] == list(range(len(first.items)))
            assert len(first.items) > 3, "it streams"
            await a_cancelled_call_leaves_the_next_one_right(llm, text(first.items))
            await a_held_back_reply_waits(llm, text(first.items))
            await too_long_a_prompt_is_an_error(llm)
            assert text((await answer(llm, FRANCE)).items) == text(first.items)

    async def a_cancelled_call_leaves_the_next_one_right(llm: LlamaCpp, expected: str) -> None:
        story = Ask(1, "Tell me a story about a dog.")
        for tokens in (1, 4):
            cut = await answer(llm, story, enough=partial(reached, tokens))
            assert len(cut.items) == tokens
            assert text((await answer(llm, FRANCE)).items) == expected
        with trio.move_on_after(0.01) as during_the_prompt:
            await answer(llm, Ask(1, "Tell me all about cats, dogs, horses, cows, sheep and goats, please."))
        assert during_the_prompt.cancelled_caught
        assert text((await answer(llm, FRANCE)).items) == expected

    async def a_held_back_reply_waits(llm: LlamaCpp, expected: str) -> None:
        taken: list[Message] = []
        arrived, gate = trio.Event(), trio.Event()

        async def hesitant(item: Message) -> None:
            taken.append(item)
            arrived.set()
            await gate.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(llm.call, FRANCE, None, hesitant)
            await arrived.wait()
            with trio.move_on_after(0.3):
                await trio.sleep_forever()
            assert len(taken) == 1
            gate.set()
        assert text(taken) == expected

    async def too_long_a_prompt_is_an_error(llm: LlamaCpp) -> None:
        with pytest.raises(ProviderError, match=r"llm llamacpp: .*context"):
            await answer(llm, Ask(1, "word " * 3_000))

    trio.run(main)


@installed(LlamaCpp)
@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (None, {}, "cannot read .*No such file"),
        (b"", {}, "is not a GGUF file"),
        (b"some text", {}, "is not a GGUF file"),
        (b"GGUF" + bytes(200), {}, "cannot be loaded"),
        (b"GGUF", {"sha256": "0" * 64}, "is damaged or a different file"),
    ],
)
def test_a_model_that_cannot_be_used(
    tmp_path: Path, content: bytes | None, options: dict[str, object], said: str
) -> None:
    path = tmp_path / "mine.gguf"
    if content is not None:
        path.write_bytes(content)

    async def main() -> None:
        async with opened(
            LlamaCpp, LlamaCpp.Options.model_validate({"model": path, **options}), FakeSession().around()
        ):
            raise AssertionError("must not become ready")

    with pytest.raises(ProviderError, match=said) as caught:
        trio.run(main)
    assert "\n" not in str(caught.value)


@installed(LlamaCpp)
def test_weights_that_are_missing_say_which_command_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)

    async def main() -> None:
        async with opened(LlamaCpp, LlamaCpp.Options(), FakeSession().around()):
            raise AssertionError("must not become ready")

    with pytest.raises(ProviderMissing, match="SmolLM2") as caught:
        trio.run(main)
    assert caught.value.hint == "flowkit setup local"
