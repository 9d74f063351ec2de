"""Tools with llama.cpp itself: in process and as a server. The model is the one of 135M parameters, which never calls a tool.
So it gets a chat template that knows tools, and the tests see that tools, calls and outcomes are taken, and answered."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from flowkit.config import load
from flowkit.config.load import read
from flowkit.messages import (
    Ask,
    Called,
    Exchange,
    Failed,
    Fault,
    Message,
    PlaybackStarted,
    ReplyStep,
    Token,
    ToolCall,
    Usage,
)
from flowkit.plan import require, vet
from flowkit.providers.base import Provider
from flowkit.providers.llamacpp.gguf import chat_template
from flowkit.providers.llamacpp.llm import LlamaCpp, prompt
from flowkit.providers.llamacpp.model import Llama
from flowkit.providers.models import opened
from flowkit.providers.openai_compatible.llm import OpenAICompatible
from flowkit.providers.weights import SMOLLM2
from flowkit.runtime.host import run_alone
from flowkit.testing.sessions import Kept
from flowkit.tools import ToolSpec
from tests.providers.support import FakeSession, answer, installed

TEMPLATE = """\
{% for m in messages %}<|im_start|>{{m.role}}
{{m.content or ''}}{% for c in m.tool_calls or [] %}<tool_call>
{"name": "{{c.function.name}}", "arguments": {{c.function.arguments|tojson}}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if tools %}{{tools|tojson}}{% endif %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
BOOK = ToolSpec(
    "book",
    "Book a table.",
    {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundled model with another chat template, which takes as many bytes."""
    data = SMOLLM2.path().read_bytes()
    old = chat_template(SMOLLM2.path()).encode()
    assert data.count(old) == 1
    path = tmp_path_factory.mktemp("model") / "tools.gguf"
    path.write_bytes(data.replace(old, TEMPLATE.encode().ljust(len(old))))
    yield path
    path.unlink()  # it has 90 MB


def gguf(*pairs: tuple[bytes, int, bytes]) -> bytes:
    """A GGUF file with these names, types and values."""
    body = b"".join(
        struct.pack("<Q", len(name)) + name + struct.pack("<I", type_) + value for name, type_, value in pairs
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


WORDS = struct.pack("<IQ", 8, 2) + text(b"a") + text(b"bc")
NUMBERS = struct.pack("<IQ", 4, 3) + bytes(12)
NESTED = struct.pack("<IQ", 9, 1) + NUMBERS
BEHIND = (b"tokenizer.chat_template", 8, text(b"{{ tools }}"))


@pytest.mark.parametrize(
    ("content", "template"),
    [
        (gguf(BEHIND), "{{ tools }}"),
        (gguf((b"a", 8, text(b"b")), (b"c", 10, bytes(8)), (b"d", 7, b"\1"), BEHIND), "{{ tools }}"),
        (gguf((b"a", 9, WORDS), (b"b", 9, NUMBERS), (b"c", 9, NESTED), BEHIND), "{{ tools }}"),
        (gguf((b"a", 8, text(b"b"))), ""),
        (gguf(BEHIND)[:-20], ""),
        (gguf((b"a", 99, b""), BEHIND), ""),
        (gguf((b"x" * 2_000_000, 8, text(b"b")), BEHIND), ""),
        (b"", ""),
        (b"text", ""),
    ],
)
def test_the_chat_template_of_a_file(tmp_path: Path, content: bytes, template: str) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    assert chat_template(path) == template


FILE = """
flowkit: 1
tools: [{name: end_call, builtin: end_session}]
stages: [{kind: gate}, {kind: llm, provider: llamacpp%s}]
"""


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (b"{{ messages }} {# no toolset #}", "the chat template of a.gguf knows no tools"),
        (b"{% if tools %}", ""),
        (None, "the model that flowkit carries is too small to call tools"),
    ],
)
def test_a_model_that_knows_no_tools_is_an_error_at_the_start(tmp_path: Path, template: bytes | None, why: str) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf((b"tokenizer.chat_template", 8, text(template or b""))))
    file = FILE % (f", model: '{path}'" if template else "")
    found = [(p.code, p.mark.line, p.what) for p in vet(read("a.yaml", text=file)).problems if p.code == "FK211"]
    assert found == ([("FK211", 4, why)] if why else [])


def test_the_prompt_has_calls_and_outcomes() -> None:
    called = ReplyStep("Let me see.", (Called("call_1", "book", '{"n": 2}', "result", "done"),))
    ask = Ask(2, "And now?", (Exchange("Two.", "Booked.", (called,)),), steps=(called,))
    function = {"name": "book", "arguments": '{"n": 2}'}
    step: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    messages = prompt(LlamaCpp.Options(model=Path("x"), system="Be brief."), ask)
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two."},
        *step,
        {"role": "assistant", "content": "Booked."},
        {"role": "user", "content": "And now?"},
        *step,
    ]


class Calls:
    """A server of llama.cpp whose model calls a tool, as it streams that. `asked`: the request."""

    def handle_chat_completions(self, request: dict[str, Any], received: Callable[[dict[str, Any]], bool]) -> None:
        self.asked = request
        call = {"index": 0, "id": "x", "type": "function", "function": {"name": "book", "arguments": ""}}
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "content": None},
            {"content": "Let me see."},
            {"tool_calls": [call]},
            *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"n"', ": 2}")),
            {},
        ]
        for delta in deltas:
            assert not received({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def test_what_the_model_calls_comes_behind_its_text(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf(BEHIND))
    options = LlamaCpp.Options(model=path)
    server = Calls()

    async def main() -> list[Message]:
        around = FakeSession().around()
        around.tools.append(BOOK)
        llama = Llama(options)
        llama._server = server
        return (await answer(LlamaCpp(options, around, llama), Ask(1, "A table for two."))).items

    assert trio.run(main) == [Token(0, "Let me see."), ToolCall("x", "book", '{"n": 2}')]
    assert [tool["function"]["name"] for tool in server.asked["tools"]] == ["book"]


DONE = ReplyStep("", (Called("call_1", "book", '{"n": 2}', "result", "It is booked."),))
TABLE = "Book a table for two."
REQUESTS = [
    Ask(1, TABLE),
    Ask(1, TABLE, steps=(DONE,)),
    Ask(2, "Thank you.", (Exchange(TABLE, "Done.", (DONE,)),), tools=False),
]


async def answered(llm: Provider) -> None:
    """Each request gets an answer that is text."""
    llm.around.tools.append(BOOK)
    for ask in REQUESTS:
        items = (await answer(llm, ask)).items
        assert items
        assert all(isinstance(item, (Token, Usage)) for item in items)


@installed(LlamaCpp)
def test_a_model_with_a_template_for_tools_takes_tools_and_outcomes(model: Path) -> None:
    async def main() -> None:
        async with opened(LlamaCpp, LlamaCpp.Options(model=model, max_tokens=8), FakeSession().around()) as llm:
            await answered(llm)

    trio.run(main)


SERVED = """
stages:
  - {kind: mic, provider: scripted, speech: [{at: 500ms, lasts: 300ms}], length: 1s}
  - {kind: vad, provider: scripted, end: 100ms}
  - {kind: asr, provider: scripted, utterances: ["A table for two at half past seven."]}
  - {kind: gate}
  - kind: llm
    provider: openai_compatible
    base_url: "%s/v1"
    model: any
    max_tokens: 8
    first_token_timeout: 1min
    idle_timeout: 1min
    temperature: 0
  - {kind: chunker}
  - {kind: tts, provider: scripted, per_char: 1ms}
  - {kind: speaker, provider: memory}
"""


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    """The address of a real llama.cpp server."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity, params.ui = 2048, 1, 0, -1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@installed(LlamaCpp, OpenAICompatible)
def test_a_llama_cpp_server_takes_tools_and_outcomes(address: str) -> None:
    options = OpenAICompatible.Options(base_url=f"{address}/v1", model="any", max_tokens=8)

    async def main() -> None:
        async with opened(OpenAICompatible, options, FakeSession().around()) as llm:
            await answered(llm)

    trio.run(main)


@installed(LlamaCpp, OpenAICompatible)
def test_the_restaurant_talks_with_a_llama_cpp_server(address: str) -> None:
    """The server takes the descriptions of the functions, and the reply is spoken."""
    shipped = (Path(__file__).parents[2] / "pipelines/restaurant.yaml").read_text("utf-8").partition("stages:\n")[0]
    kept = Kept()
    plan = require(load("restaurant.yaml", text=shipped + SERVED % address, environ={}))

    async def main() -> None:
        await run_alone(plan, notice=lambda line: None, observers=(kept,))

    trio.run(main)
    assert [row.message.text for row in kept.all if isinstance(row.message, Ask)] == [
        "A table for two at half past seven."
    ]
    assert not [row.message for row in kept.all if isinstance(row.message, (Fault, Failed))]
    assert [row for row in kept.all if isinstance(row.message, PlaybackStarted)]
