"""What each provider tells of its usage, against emulators of its service."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Ask, Audio, Narrate, Speak, Transcribe, Usage
from flowkit.providers.assemblyai.asr import AssemblyAI
from flowkit.providers.cartesia.tts import Cartesia
from flowkit.providers.cloud.completions import usage_of
from flowkit.providers.cloud.faults import CloudError
from flowkit.providers.groq import Groq
from flowkit.providers.openai_compatible.asr import OpenAITranscription
from flowkit.providers.openai_compatible.events import SpeechEvents
from flowkit.providers.openai_compatible.llm import OpenAICompatible
from flowkit.providers.openai_compatible.tts import OpenAISpeech
from flowkit.providers.openai_compatible.usage import used_of
from flowkit.testing.emulators import (
    AssemblyAIEmulator,
    CartesiaEmulator,
    GroqEmulator,
    ServerFault,
    SpeechEmulator,
    running,
)
from flowkit.testing.emulators.speech import TOKENS_A_S, tone
from tests.contract.support import OK, Outcome, one_call, utterance

pytest.importorskip("groq")
pytest.importorskip("websockets")


def told(outcome: Outcome) -> list[Usage]:
    return [item for item in outcome.items if isinstance(item, Usage)]


def asked(fault: ServerFault = ServerFault.NONE) -> list[Usage]:
    with running(GroqEmulator()) as emulator:
        options = Groq.Options(api_key=f"fault:{fault}", base_url=emulator.url)
        return told(one_call(Groq, options, Ask(1, "Hello there.")))


def test_a_chat_model_tells_what_the_server_counted() -> None:
    before, after = asked()
    assert before.estimated
    assert (before.input_tokens > 10, before.output_tokens) == (True, 0)
    # The emulator counts the words of the request and the pieces of its answer.
    assert (after.input_tokens, after.estimated) == (14, False)
    assert after.output_tokens > 5


def test_openai_s_servers_tell_it_in_a_chunk_of_its_own() -> None:
    with running(GroqEmulator()) as emulator:
        options = OpenAICompatible.Options(model="m", base_url=f"{emulator.url}/v1")
        used = told(one_call(OpenAICompatible, options, Ask(1, "Hello there.")))
    assert [one.estimated for one in used] == [True, False]
    assert used[1].input_tokens == 14


def test_of_a_reply_that_breaks_off_the_request_is_told() -> None:
    assert [used.estimated for used in asked(ServerFault.RST)] == [True]


def test_voices_tell_the_characters_that_they_sent() -> None:
    with running(CartesiaEmulator()) as emulator:
        options = Cartesia.Options(voice="anna", api_key="key", base_url=emulator.ws_url)
        used = told(one_call(Cartesia, options, Narrate(), [Speak(0, "Hello there."), Speak(1, "Bye.")]))
    assert used[-1].characters == 16
    with running(SpeechEmulator()) as emulator:
        speech = OpenAISpeech.Options(model="m", voice="anna", base_url=f"{emulator.url}/v1")
        assert told(one_call(OpenAISpeech, speech, Speak(0, "Hello there."))) == [Usage(characters=12)]


def test_transcribers_tell_the_audio_that_they_sent() -> None:
    fed = utterance()
    with running(AssemblyAIEmulator(turns=("Hello.",))) as emulator:
        options = AssemblyAI.Options(api_key="key", base_url=emulator.ws_url)
        used = told(one_call(AssemblyAI, options, Transcribe(), fed))
    # All but what is too short to be sent.
    assert [1_200_000 < one.audio_us <= 65 * 20_000 for one in used] == [True]
    with running(SpeechEmulator(turns=("Hello.",))) as emulator:
        file = OpenAITranscription.Options(model="m", base_url=f"{emulator.url}/v1")
        used = told(one_call(OpenAITranscription, file, Transcribe(), fed))
    assert used
    assert all(0 < one.audio_us <= 65 * 20_000 for one in used)


def test_speech_that_is_billed_by_tokens() -> None:
    fed = utterance()
    with running(SpeechEmulator(turns=("Hello there.",), by_tokens=True)) as emulator:
        file = OpenAITranscription.Options(model="m", base_url=f"{emulator.url}/v1")
        heard = told(one_call(OpenAITranscription, file, Transcribe(), fed))[-1]
        assert heard.input_tokens == sum(samples * 10 // 16_000 for samples in emulator.files) > 5
        assert heard.output_tokens == 2 * len(emulator.files)
        speech = OpenAISpeech.Options(model="m", voice="anna", base_url=f"{emulator.url}/v1", stream_format="sse")
        outcome = one_call(OpenAISpeech, speech, Speak(0, "Hello there, my friend."))
    assert told(outcome) == [
        Usage(characters=23),
        Usage(characters=23, input_tokens=9, output_tokens=23 * 20 * TOKENS_A_S // 1000),
    ]
    assert b"".join(item.pcm for item in outcome.items if isinstance(item, Audio)) == tone(23 * 480)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (ServerFault.FIN, "network"),
        (ServerFault.RST, "network"),
        (ServerFault.MISSING_FIELD, "network"),
        (ServerFault.ODD_PCM, OK),
        (ServerFault.EMPTY, OK),
    ],
)
def test_speech_in_events_that_goes_wrong(fault: ServerFault, end: str) -> None:
    with running(SpeechEmulator()) as emulator:
        url = f"{emulator.url}/v1"
        speech = OpenAISpeech.Options(
            model="m", voice="anna", base_url=url, stream_format="sse", api_key=f"fault:{fault}"
        )
        assert one_call(OpenAISpeech, speech, Speak(0, "Hello there.")).end == end


@given(
    st.binary(max_size=60)
    | st.sampled_from([b'data: {"type": "speech.audio.delta"}\n\n', b'data: {"type": "error"}\n\n'])
)
def test_whatever_comes_as_an_event_is_audio_or_an_error(data: bytes) -> None:
    try:
        assert isinstance(SpeechEvents().feed(data), bytes)
    except CloudError:
        pass


@given(
    st.dictionaries(
        st.sampled_from(["seconds", "input_tokens", "output_tokens"]), st.none() | st.integers() | st.floats()
    )
)
def test_whatever_is_said_of_speech_is_a_count(said: dict[str, Any]) -> None:
    used = used_of(said, 1_000)
    assert all(0 <= count < 2**40 for count in used.counts.values())


COUNTS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "prompt_tokens_details": COUNTS | st.fixed_dictionaries({"cached_tokens": COUNTS}),
    },
)


@given(SAID)
def test_whatever_a_server_says_of_its_usage_is_a_count_or_nothing(said: dict[str, Any]) -> None:
    used = usage_of(said)
    assert used is None or 0 <= used.cached_tokens <= used.input_tokens < 2**31


def test_tokens_from_the_server_s_cache_are_told_apart() -> None:
    said = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 64}}
    assert usage_of(said) == Usage(input_tokens=100, cached_tokens=64, output_tokens=5)
