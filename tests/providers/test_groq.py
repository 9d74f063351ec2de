"""Groq's provider beyond the contract: the stream's parser, keys, certificates, the spare connection."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.clock import US_PER_S
from flowkit.messages import Ask, Exchange
from flowkit.providers.cloud.completions import Completion, Events
from flowkit.providers.cloud.faults import CloudError, Trouble, retry_after_us
from flowkit.providers.cloud.text import Characters
from flowkit.providers.groq import Groq
from flowkit.providers.models import opened
from flowkit.testing.emulators import GroqEmulator, running
from tests.contract.support import OK, Outcome, PacedItems, around, call, one_call

pytest.importorskip("groq")
CERTIFICATE = Path(__file__).parents[1] / "contract" / "self-signed.pem"


def data(**chunk: object) -> str:
    return json.dumps(chunk)


# -- the stream --------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=8), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 7))
def test_events_are_the_same_wherever_the_bytes_are_cut(texts: list[str], end: str, size: int) -> None:
    stream = "".join(f"data: {json.dumps(text)}{end}{end}" for text in texts).encode() + b"data: last\n\n"
    events = Events()
    found = [e for place in range(0, len(stream), size) for e in events.feed(stream[place : place + size])]
    assert [payload for _, payload in found] == [*(json.dumps(text) for text in texts), "last"]


def test_events_have_names_comments_and_several_lines() -> None:
    stream = b": hello\n\nevent: error\ndata: one\ndata: two\nid: 7\n\ndata:three\n\n"
    assert Events().feed(stream) == [("error", "one\ntwo"), ("", "three")]


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(CloudError):
        Events().feed(b"x" * (2**20 + 2))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 3))
def test_characters_cut_in_two_are_put_together(text: str, size: int) -> None:
    units = text.encode("utf-16-le")
    halves = [units[i : i + 2 * size].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2 * size)]
    characters = Characters()
    joined = "".join(characters.join(half) for half in halves) + characters.rest()
    assert joined == text
    joined.encode()


@pytest.mark.parametrize("half", ["\ud83d", "a\ud83db", "\ude00 b"])
def test_half_a_character_is_never_handed_on(half: str) -> None:
    characters = Characters()
    (characters.join(half) + characters.rest()).encode()


def test_a_reply_is_whole_with_a_finish_reason() -> None:
    completion = Completion()
    assert completion.take("", data(choices=[{"delta": {"content": "Hi"}, "finish_reason": None}])) == "Hi"
    with pytest.raises(CloudError, match="finish_reason"):
        completion.check()
    usage = {"total_tokens": 3}
    completion.take("", data(choices=[{"delta": {}, "finish_reason": "stop"}], x_groq={"usage": usage}))
    completion.check()
    assert completion.usage == usage
    completion.take("", "[DONE]")
    assert completion.done


def test_what_a_model_thinks_or_calls_is_not_spoken() -> None:
    completion = Completion()
    deltas = [
        {"reasoning": "hm"},
        {"reasoning_content": "hm", "content": ""},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"tool_calls": [{"index": 0}]},
        {"content": None},
        {},
    ]
    assert [completion.take("", data(choices=[{"delta": delta}])) for delta in deltas] == [""] * 6


def test_content_in_parts_is_spoken() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]
    assert Completion().take("", data(choices=[{"delta": {"content": parts}}])) == "Hello."


@pytest.mark.parametrize(
    "chunk", ["[]", "7", '"x"', '{"choices": 7}', '{"choices": [7]}', '{"choices":[{"delta":{"content":7}}]}']
)
def test_what_is_no_chunk_is_refused(chunk: str) -> None:
    with pytest.raises(CloudError) as raised:
        Completion().take("", chunk)
    assert raised.value.trouble is Trouble.PROTOCOL


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2), ("0.5", 0.5), ("7200", 7200), ("-3", 0), ("1h", 3600), ("2m59.5s", 179.5), ("500ms", 0.5), ("7m", 420)],
)
def test_how_long_to_wait(value: str, seconds: float) -> None:
    assert retry_after_us(value) == round(seconds * US_PER_S)


@pytest.mark.parametrize("value", ["", "soon", "Wed, 99 Foo 2026", "nan,", "1e300"])
def test_a_wait_that_says_nothing(value: str) -> None:
    assert retry_after_us(value) is None


def test_a_date_that_has_gone_by_is_no_wait() -> None:
    assert retry_after_us("Wed, 21 Oct 2015 07:28:00 GMT") == 0


# -- the provider ------------------------------------------------------------------------------------------------------


def test_the_past_and_what_was_said_already_are_in_the_request() -> None:
    with running(GroqEmulator(reply=lambda messages: "The capital of France is Paris.")) as emulator:
        options = Groq.Options(api_key="any", base_url=emulator.url, remember=1, extra={"reasoning_effort": "low"})
        history = (Exchange("a", "b"), Exchange("hi", "Hello."))
        outcome = one_call(Groq, options, Ask(3, "And Spain?", history, "The capital of"))
        body = next(seen.body for seen in emulator.seen if seen.body)
    assert outcome.text == " France is Paris."
    assert [message["content"] for message in body["messages"][1:]] == ["hi", "Hello.", "And Spain?", "The capital of"]
    assert body["reasoning_effort"] == "low"


def test_a_certificate_that_nobody_vouches_for_is_an_error_of_its_own() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with running(GroqEmulator(tls=context)) as emulator:
        options = Groq.Options(api_key="any", base_url=emulator.url)
        outcome = one_call(Groq, options, Ask(1, "hi"))
    assert outcome.end == "certificate"
    assert "certificate is not valid" in outcome.error


def test_a_name_that_does_not_resolve_is_an_error_that_says_so() -> None:
    options = Groq.Options(api_key="any", base_url="http://no-such-host.invalid")
    outcome = one_call(Groq, options, Ask(1, "hi"))
    assert outcome.end == "network"


def test_a_turn_after_a_cancelled_one_finds_a_connection() -> None:
    outcome = Outcome()
    with running(GroqEmulator(reply=lambda messages: "word " * 50, token_s=0.01)) as emulator:

        async def main() -> None:
            options = Groq.Options(api_key="any", base_url=emulator.url)
            async with opened(Groq, options, around(outcome)) as provider:
                with trio.move_on_after(0.15):
                    await call(provider, Outcome(), Ask(1, "hi"), PacedItems([]))
                before = len(emulator.seen)
                while len(emulator.seen) == before:  # the spare is opened in the background
                    await trio.sleep(0.005)
                await call(provider, outcome, Ask(2, "hi"), PacedItems([]))

        trio.run(main)
    assert outcome.end == OK


def test_probe_says_which_keys_work() -> None:
    with running(GroqEmulator()) as emulator:

        async def probe(key: str, model: str = "llama-3.3-70b-versatile") -> str:
            async with opened(
                Groq, Groq.Options(api_key=key, base_url=emulator.url, model=model), around(Outcome())
            ) as provider:
                try:
                    return await provider.probe()
                except Exception as error:
                    return f"failed: {error}"

        assert trio.run(probe, "working-key") == "the server answers, model llama-3.3-70b-versatile"
        assert "401" in trio.run(probe, "wrong")
        assert "has no model 'other'" in trio.run(probe, "working-key", "other")
