"""Parts of conversations to combine: when the user interrupts, how fast providers answer, and how they fail.

@given(conversations(), cancellation_instants())
def test(conversation, at): heap_session(scripted_plan(**interrupted(conversation, at)))

@given(provider_timings(), provider_failures())
def test(timings, failures): check_session(joined(CONVERSATION, timings, failures))
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from flowkit.testing.strategies.conversations import Conversation


def durations(most_ms: int, frame_ms: int = 20) -> st.SearchStrategy[str]:
    """A duration of 0 to `most_ms`: a multiple of `frame_ms`, any number of ms, or 1 us from a multiple of
    `frame_ms`."""
    grid = st.integers(0, most_ms // frame_ms).map(lambda n: f"{frame_ms * n}ms")
    beside = st.tuples(st.integers(1, max(1, most_ms // frame_ms)), st.sampled_from((-1, 1)))
    return st.one_of(
        grid,
        st.integers(0, most_ms).map(lambda n: f"{n}ms"),
        beside.map(lambda p: f"{p[0] * frame_ms * 1000 + p[1]}us"),
    )


def cancellation_instants(most_ms: int = 3_000) -> st.SearchStrategy[str]:
    """When the user starts to interrupt, from the start of the session."""
    return durations(most_ms)


def provider_timings() -> st.SearchStrategy[Conversation]:
    """The delays of ASR, LLM and TTS, from none to very long."""
    llm = st.fixed_dictionaries({"first_token": durations(400), "per_token": durations(60)})
    tts = st.fixed_dictionaries({"first_audio": durations(400), "per_piece": durations(60)})
    asr = st.fixed_dictionaries({"final_after": durations(300), "partial_after": durations(60)})
    return st.fixed_dictionaries({"asr": asr, "llm": llm, "tts": tts})


def provider_failures() -> st.SearchStrategy[Conversation]:
    """One provider fails or exceeds its timeout, or none does."""
    fails = st.integers(0, 4).map(
        lambda n: {"llm": {"replies": ({"text": "One, two, three. Four.", "fail_after": n},)}}
    )
    return st.one_of(
        st.just({}),
        fails,
        st.just({"tts": {"fail": True}}),
        st.sampled_from(("10ms", "60ms")).map(lambda late: {"llm": {"first_item_timeout": late}}),
        st.sampled_from(("10ms", "60ms")).map(lambda late: {"tts": {"first_item_timeout": late, "idle_timeout": late}}),
    )


def joined(conversation: Conversation, *others: Conversation) -> Conversation:
    """The conversation with the settings of the others added, stage by stage. Later settings replace earlier ones."""
    whole: dict[str, Any] = dict(conversation)
    for other in others:
        for stage, settings in other.items():
            whole[stage] = {**whole.get(stage, {}), **settings} if isinstance(settings, dict) else settings
    return Conversation(whole)


def interrupted(conversation: Conversation, at: str, lasts: str = "300ms", says: str = "No, wait.") -> Conversation:
    """The conversation with one more utterance of the user: `says`, which starts at `at` and lasts `lasts`."""
    spoken = [*conversation.get("mic", {}).get("speech", ()), {"at": at, "lasts": lasts}]
    said = (*conversation.get("asr", {}).get("utterances", ()), says)
    return joined(conversation, {"mic": {"speech": spoken}, "asr": {"utterances": said}})
