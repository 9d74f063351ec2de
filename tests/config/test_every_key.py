"""Every key of a pipeline file changes something. For each key there is an experiment whose result changes with its
value.

The keys come from the declarations, so a new one that is not in `TABLE` fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, get_args

import pytest

from flowkit.config.keys import ALIASES, call_keys
from flowkit.config.prices import PRICED_BY, TOKENS, Price
from flowkit.config.reference import BuiltIn
from flowkit.config.schema import APART, WHOLE, CallOptions, Top, Wiring
from flowkit.messages import Message, Narrate, Speak, Transcribe
from flowkit.options import Options
from flowkit.stages.interrupting import State
from flowkit.testing.emulators import ServerFault
from tests.config import experiments as look
from tests.config import experiments_of_providers as providers
from tests.config import experiments_of_serve as serve
from tests.config import experiments_of_tools as tools
from tests.config import experiments_of_turns as turns
from tests.config.experiments import Experiment
from tests.contract.support import utterance
from tests.serve import phone

CATALOG = BuiltIn()


# -- the keys ----------------------------------------------------------------------------------------------------------


def model_in(annotation: Any) -> type[Options] | None:
    """The model that a key's value, or each item of it, is an instance of."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    return next((found for inner in get_args(annotation) if (found := model_in(inner))), None)


def keys_below(model: type[Options], above: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = above + (field.alias or name)
        nested = model_in(field.annotation)
        yield from keys_below(nested, f"{key}.") if nested else [key]


def keys_of_calls(kind: str) -> Iterator[str]:
    """Those of a call, as any provider of the kind takes them."""
    classes = [CATALOG.provider(kind, name) for name in CATALOG.providers(kind)]
    taken = {key for cls in classes for key in call_keys(CATALOG.stage(kind), cls)}
    yield from (f"{kind}.{key}" for key in keys_below(CallOptions, "") if key.partition(".")[0] in taken)
    yield from (f"{kind}.{alias}" for alias in ALIASES if alias in taken)


def every_key() -> Iterator[str]:
    yield from APART
    yield from keys_below(Top, "")
    for kind in CATALOG.kinds():
        yield from (f"{kind}.kind", f"{kind}.id", f"{kind}.allow")
        stage = CATALOG.stage(kind)
        if stage.takes_data():
            yield from (f"{kind}.{key}" for key in keys_below(Wiring, "") if key not in ("id", "allow"))
        if CATALOG.providers(kind):
            yield from (f"{kind}.provider", f"{kind}.failover")
        yield from keys_of_calls(kind)
        for key in keys_below(stage.Options, ""):
            yield f"{kind}.{key.partition('.')[0] if key.partition('.')[0] in WHOLE else key}"
        for name in CATALOG.providers(kind):
            yield from keys_below(CATALOG.provider(kind, name).Options, f"{kind}/{name}.")


# -- the experiments ---------------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """Set the key to `value`, among settings that are `given`, and look at what `seen` returns. `path`: where the key is set,
    unless that is where its name says."""

    value: str
    seen: Experiment = look.played
    given: tuple[str, ...] = ()
    path: str = ""


def stage(kind: str, keys: str) -> tuple[str]:
    """The setting that puts other keys into a stage."""
    return (f"stages.{kind}={{kind: {kind}, {keys}}}",)


def reply(text: str, keys: str = "") -> tuple[str]:
    """The setting that makes the LLM say this."""
    return stage("llm", f"provider: scripted, replies: [{{text: {json.dumps(text, ensure_ascii=False)}}}]{keys}")


GROQ = stage("llm", "provider: groq, api_key: a-key, base_url: '$URL'")
OPENAI = stage("llm", "provider: openai_compatible, model: m, api_key: a-key, base_url: '$URL/openai/v1'")
NO_SERVER = stage("llm", "provider: openai_compatible, model: m, base_url: 'http://127.0.0.1:1/v1'")
NO_SERVICE = stage("asr", "provider: assemblyai, api_key: a-key")
ASSEMBLY = stage("asr", "provider: assemblyai, api_key: a-key, base_url: '$WS'")
CARTESIA = stage("tts", "provider: cartesia, voice: anna, api_key: a-key, base_url: '$WS'")
HEARING = stage("asr", "provider: openai_compatible, model: m, api_key: a-key, base_url: '$URL/v1'")
SPEAKING = stage("tts", "provider: openai_compatible, model: m, voice: anna, api_key: a-key, base_url: '$URL/v1'")
LLAMA = stage("llm", "provider: llamacpp, model: $TMP/a.gguf")
EXAMPLES = (*LLAMA, "stages.llm.examples=[{user: Why?, agent: No.}]")
CANNED = stage("llm", "provider: canned")
PIPER = stage("tts", "provider: piper, voice: $TMP/a.onnx")
NANO = stage("tts", "provider: nanotts")
WEBRTC = stage("vad", "provider: webrtcvad")
MOONSHINE = stage("asr", "provider: moonshine")
MEMORY = stage("mic", "provider: memory")
WAV_SOURCE = stage("mic", "provider: wav, path: $AUDIO/question.wav")
WAV_SINK = stage("speaker", "provider: wav, path: $TMP/new.wav")
DEVICE_MIC = stage("mic", "provider: device")
DEVICE_SPEAKER = stage("speaker", "provider: device")

ASK = providers.ASKED
asked = providers.sent("llm", "groq", ASK)
transcribed = providers.sent("asr", "assemblyai", Transcribe(), utterance())
unanswered = providers.sent("asr", "assemblyai", Transcribe(), utterance(), ServerFault.NO_FORCE)
narrated = providers.sent("tts", "cartesia", Narrate(), [Speak(0, providers.MARKED)])
sent_file = providers.sent("asr", "speech", Transcribe(), utterance())
spoken = providers.sent("tts", "speech", Speak(0, "Hello there."))
told_piper, told_nano = providers.told_worker("piper"), providers.told_worker("nanotts")
wanted_mic, wanted_speaker = providers.claimed("mic"), providers.claimed("speaker")
no_speaker = providers.claimed("speaker", present=False)

BEFORE_ANY_SOUND = ("stages.mic.speech.1.at=1900ms", "stages.tts.first_audio=1s")
"""The second utterance begins when nothing of the first reply has sounded."""
LONG = "It is a town, on a river, with bridges, and with towers, and with a market, and with more than that."
SLOWLY = reply("and so on and so forth and more", ", per_token: 100ms")
SPANS = {
    "emphasis": "This is **very** good.",
    "heading": "# Title\n\nMore of it.",
    "list": "- one thing\n- two things\n",
    "quote": "> quoted words\n\nMore of it.",
    "link": "See [here](https://example.com/a) now.",
    "url": "See https://www.example.com/a?b=c now.",
    "code": "Run `make test` now.",
    "fence": "Look:\n```py\nx = 1\n```\nMore of it.",
    "table": "| a | b |\n|---|---|\n| c | d |\n\nMore of it.",
    "tag": "This is <b>very</b> good.",
    "emoji": "Good \N{GRINNING FACE} day.",
}
OTHER = {
    "mic": ("device", "memory"),
    "vad": ("scripted", "webrtcvad"),
    "asr": ("scripted", "moonshine"),
    "gate": ("typed", "no-such"),
    "llm": ("scripted", "canned"),
    "tts": ("scripted", "print"),
    "speaker": ("device", "memory"),
}
"""Two providers of each kind that need no keys."""
UPSTREAM = {
    "vad": "mic",
    "asr": "mic",
    "gate": "asr",
    "llm": "gate",
    "chunker": "llm",
    "tts": "chunker",
    "speaker": "tts",
}
SERVERS: dict[str, tuple[str, Message, list[Message]]] = {
    "asr": ("provider: assemblyai, api_key: a-key", Transcribe(), []),
    "llm": ("provider: groq, api_key: a-key", ASK, []),
    "tts": ("provider: cartesia, voice: anna, api_key: a-key", Narrate(), [Speak(0, "Hello.")]),
}


def of_every_kind() -> Iterator[tuple[str, Try]]:
    """Keys that every stage has."""
    for kind in CATALOG.kinds():
        yield f"{kind}.kind", Try("chunker" if kind != "chunker" else "gate", look.resolved)
        yield f"{kind}.id", Try("another")
        yield f"{kind}.allow", Try("[FK205]", look.linted)
    for kind, source in UPSTREAM.items():
        yield f"{kind}.from", Try(f"{source}2", look.linked)
        yield f"{kind}.queue.max", Try("7")
        yield f"{kind}.queue.when_full", Try("error")
    for kind, (one, two) in OTHER.items():
        yield f"{kind}.provider", Try(two, look.resolved, stage(kind, f"provider: {one}"))
        taker = one if kind in ("vad", "asr", "gate") else two
        yield (
            f"{kind}.failover",
            Try(f"[{{provider: {taker}}}]", look.unloadable(kind), stage(kind, f"provider: {one}")),
        )


def of_calls() -> Iterator[tuple[str, Try]]:
    """Deadlines, and what happens when a call has failed."""
    for kind in ("mic", "vad", "asr", "llm", "tts"):
        for name in ("first_item_timeout", *ALIASES):
            yield f"{kind}.{name}", Try("1s", look.failing(kind))
        if kind != "asr":
            yield f"{kind}.idle_timeout", Try("1s", look.failing(kind, items=1))
    for kind, (keys, request, fed) in SERVERS.items():
        fails, sure = look.failing(kind, fails=True), f"stages.{kind}.retry.jitter=0"
        twice, other = f"stages.{kind}.retry.max=2", f"stages.{kind}.failover=[{{provider: {OTHER[kind][0]}}}]"
        yield f"{kind}.connect_timeout", Try("50ms", providers.connecting(kind, request, fed), stage(kind, keys))
        yield f"{kind}.retry.max", Try("1", fails, (sure,))
        yield f"{kind}.retry.backoff", Try("50ms", fails, (sure, twice))
        yield f"{kind}.retry.jitter", Try("1", fails, (sure, twice))
        yield f"{kind}.circuit.open_after", Try("1", fails, (other,))
        yield f"{kind}.circuit.probe_every", Try("1s", fails, (other, f"stages.{kind}.circuit.open_after=1"))


def of_prices() -> Iterator[tuple[str, Try]]:
    """A price in a unit that the kind is not paid by is refused."""
    for kind, fitting in PRICED_BY.items():
        for key in keys_below(Price, ""):
            # No scripted provider tells of tokens, but a model's are counted. What the others cost shows in the layout.
            untold = key == "cached" or (kind != "llm" and key in TOKENS)
            seen = look.resolved if key not in fitting else look.prices if untold or key == "per" else look.billed
            given = (f"stages.{kind}.price.output=3",) if key == "per" and key in fitting else ()
            yield f"{kind}.price.{key}", Try("7", seen, given)


def of_budgets() -> Iterator[tuple[str, Try]]:
    for key in keys_below(Top, ""):
        if key.startswith("budgets.cost."):
            yield key, Try("0.5", look.judged, ("stages.llm.price.output=1",))
        elif key.startswith("budgets."):
            given = ("greeting.text=Hello.",) if key.startswith("budgets.greeting.") else ()
            yield key, Try("3s", look.judged, given)


# -- tests: ------------------------------------------------------------------------------------------------------------

TURN = "expect: [{what: agent, turn: 1, contains: Paris}]"
ROME = f"set: ['stages.llm.replies=[{{text: Rome.}}]'], {TURN}"
"""A recording does not know what another LLM would say."""
CUT = "name: one, chunker: {feed: [One., ' Two.'], expect: [One., Two.]}"
SPEECH = "speech: 500ms, says: Why?, answer: So., at: 5s"
AFTER = "speech: 500ms, says: Why?, answer: So., after: {turn: 1, event: first_audio, by: 1s}"
SHOWN = (
    "expect: [{what: turns, equals: 0}, {what: user, turn: 3, equals: ''}, {what: agent, turn: 3, equals: ''}, "
    "{what: ttfa, turn: 1, within: 1ms}, {what: messages, at_most: 1}]"
)
"""All of it fails, and says what it is instead."""


def case(changed: str, given: str = f"name: one, {TURN}") -> Try:
    return Try(f"[{{{changed}}}]", look.tested, (f"tests=[{{{given}}}]",), "tests")


def injecting(changed: str, given: str) -> Try:
    return case(f"name: one, inject: [{{{changed}}}], {SHOWN}", f"name: one, inject: [{{{given}}}], {SHOWN}")


def expecting(changed: str, given: str) -> Try:
    return case(f"name: one, expect: [{{{changed}}}]", f"name: one, expect: [{{{given}}}]")


def of_tool(key: str, changed: str, given: str) -> Try:
    """An injection or an expectation about a tool. All of the rest fails, and says what it is instead."""
    rest = "expect: [{tool: book_table, called: never}, {turn: 1, what: answer, within: 1ms}]"
    one, other = (
        f"[{{name: one, {key}: [{{{what}}}]{'' if key == 'expect' else f', {rest}'}}}]" for what in (changed, given)
    )
    return Try(one, tools.tested, (f"tests={other}",), "tests")


OF_TESTS = {
    "tests.name": case(f"name: two, {TURN}"),
    "tests.chunker.feed": case(CUT.replace("Two.']", "Two']"), CUT),
    "tests.chunker.expect": case(CUT.replace("[One., Two.]", "[One.]"), CUT),
    "tests.trace": case(f"name: one, trace: base.jsonl, {ROME}", f"name: one, {ROME}"),
    "tests.set": case(f"name: one, {ROME}"),
    "tests.variables": Try(
        "[{name: one, variables: {who: Bartholomew}, expect: [{what: messages, at_most: 1}]}]",
        look.tested,
        (
            "tests=[{name: one, variables: {who: Al}, expect: [{what: messages, at_most: 1}]}]",
            "greeting={text: 'Hello {{who}}.'}",
        ),
        "tests",
    ),
    "tests.inject.speech": injecting(SPEECH.replace("500ms", "900ms"), SPEECH),
    "tests.inject.says": injecting(SPEECH.replace("Why", "When"), SPEECH),
    "tests.inject.answer": injecting(SPEECH.replace("So", "No"), SPEECH),
    "tests.inject.at": injecting(SPEECH.replace("5s", "4s"), SPEECH),
    "tests.inject.after.turn": injecting(AFTER.replace("turn: 1", "turn: 2"), AFTER),
    "tests.inject.after.event": injecting(AFTER.replace("first_audio", "released"), AFTER),
    "tests.inject.after.by": injecting(AFTER.replace("1s", "3s"), AFTER),
    "tests.inject.slow": injecting("slow: llm, by: 500ms", "slow: tts, by: 500ms"),
    "tests.inject.fault": injecting("fault: 'llm: fail in turn 1'", "fault: 'tts: fail in turn 1'"),
    "tests.inject.tool": of_tool("inject", "tool: book_table, says: No.", "slow: llm, by: 1ms"),
    "tests.inject.fail": of_tool("inject", "tool: book_table, fail: No.", "tool: book_table, fail: Never."),
    "tests.expect.tool": of_tool("expect", "tool: end_call, called: 3", "tool: book_table, called: 3"),
    "tests.expect.called": of_tool("expect", "tool: book_table, called: never", "tool: book_table, called: once"),
    "tests.expect.arguments": of_tool(
        "expect", "tool: book_table, arguments: {people: 3}", "tool: book_table, arguments: {people: 2}"
    ),
    "tests.expect.outcome": of_tool("expect", "tool: book_table, outcome: error", "tool: book_table, outcome: result"),
    "tests.inject.by": injecting("slow: llm, by: 900ms", "slow: llm, by: 500ms"),
    "tests.expect.turn": expecting("what: agent, turn: 2, contains: Paris", "what: agent, turn: 1, contains: Paris"),
    "tests.expect.what": expecting("what: user, turn: 1, contains: Paris", "what: agent, turn: 1, contains: Paris"),
    "tests.expect.within": expecting("what: ttfa, turn: 1, within: 1ms", "what: ttfa, turn: 1, within: 10s"),
    "tests.expect.at_most": expecting("what: turns, at_most: 1", "what: turns, at_most: 2"),
    "tests.expect.equals": expecting("what: turns, equals: 1", "what: turns, equals: 2"),
    "tests.expect.contains": expecting("what: agent, turn: 1, contains: Rome", "what: agent, turn: 1, contains: Paris"),
    "tests.expect.absent": expecting("what: agent, turn: 1, absent: Paris", "what: agent, turn: 1, absent: Rome"),
}

# -- the table ---------------------------------------------------------------------------------------------------------

OF_CHATS = {
    "model": "other",
    "system": "Be brief.",
    "max_tokens": "9",
    "temperature": "0.1",
    "seed": "7",
    "remember": "2",
    "context": "600",
    "extra": "{reasoning_effort: low}",
    "api_key": "other-key",
    "base_url": "$URL/behind",
}
"""What all chat models behind a server have in common."""


def of_states(block: str, above: str) -> Iterator[tuple[str, Try]]:
    """What counts as an interruption in each state of the agent."""
    for state in State:
        seen = turns.spoken_over(state)
        yield f"{block}.{state}.speech_for", Try("300ms", seen)
        yield f"{block}.{state}.always_for", Try("300ms", seen, (f"{above}min_words=9",))
        yield f"{block}.{state}.min_words", Try("2", seen)
        yield f"{block}.{state}.ignore", Try("[and now]", seen)
        yield f"{block}.{state}.backchannel", Try("ignore", seen)
        yield f"{block}.{state}.resume_after", Try("160ms", seen)


TABLE: dict[str, Try] = {
    **dict(of_every_kind()),
    **dict(of_calls()),
    **dict(of_prices()),
    **dict(of_budgets()),
    **OF_TESTS,
    # -- the file
    "flowkit": Try("2", look.resolved),
    "stages": Try("[{kind: gate}]", look.resolved),
    "defaults": Try("{vad: {end: 900ms}}", look.resolved),
    "include": Try("below.yaml", look.merged),
    "name": Try("another", look.recorded),
    "currency": Try("EUR", look.billed, ("stages.llm.price.output=1",)),
    "interrupt.speech_for": Try("600ms"),
    "interrupt.min_words": Try("2"),
    "interrupt.ignore": Try("[and now please stop]"),
    "interrupt.resume_after": Try("160ms", given=("interrupt.min_words=9",)),
    "interrupt.backchannel": Try("ignore"),
    "interrupt.level": Try("0.99"),
    "interrupt.always_for": Try("300ms", given=("interrupt.min_words=9",)),
    **dict(of_states("interrupt.while", "interrupt.")),
    "interrupt.join_words": Try("0", given=BEFORE_ANY_SOUND),
    "interrupt.history": Try("generated"),
    "trace.dir": Try("$TMP/elsewhere", look.recorded),
    "trace.audio": Try("false", look.recorded),
    "trace.mode": Try("0640", look.recorded),
    "trace.keep": Try("30d", look.removed),
    "trace.at_most": Try("3MB", look.removed),
    "trace.redact.keep": Try("[transcripts]", look.recorded, ("trace.redact.keep=[tokens]",)),
    "shutdown.grace": Try("1s", look.closing),
    # -- serve
    "serve.tokens": Try("[a-token-of-some-length]", serve.needs_token),
    "serve.origins": Try("[https://good.example]", serve.of_a_page),
    "serve.proxies": Try("[127.0.0.1]", serve.forwarded, ("serve.limits.per_peer=1",)),
    "serve.client_may_set": Try("[tools]", serve.instructed),
    "serve.greeting": Try("false", serve.greeted, ("greeting.text=Hello.",)),
    "serve.lead": Try("100ms", serve.answered),
    "serve.drain": Try("1s", serve.drained),
    "serve.workers": Try("2", serve.started),
    "serve.twilio.auth_token": Try(phone.AUTH, serve.called),
    "serve.twilio.url": Try(serve.PUBLIC, serve.called, phone.PHONE),
    "serve.twilio.key_pause": Try("3s", serve.keyed),
    "serve.goodbye": Try("Bye.", serve.drained),
    "serve.limits.lag": Try("200ms", serve.lagging),
    "serve.limits.sessions": Try("1", serve.two),
    "serve.limits.per_peer": Try("1", serve.two),
    "serve.limits.message": Try("2KB", serve.large),
    "serve.limits.handshake": Try("2s", serve.half),
    "serve.limits.idle": Try("5s", serve.silent, ("serve.limits.idle=15s",)),
    "serve.limits.ahead": Try("1s", serve.ahead),
    "serve.limits.unsent": Try("20KB", serve.slow),
    "serve.trace.sample": Try("0", serve.recorded),
    # -- mic
    "mic.frame": Try("10ms"),
    "mic.ring": Try("200ms", providers.overrun, DEVICE_MIC),
    "mic/device.device": Try("Built", wanted_mic, DEVICE_MIC),
    "mic/device.rate": Try("48000", wanted_mic, DEVICE_MIC),
    "mic/device.channels": Try("2", wanted_mic, DEVICE_MIC),
    "mic/device.aec": Try("webrtc", wanted_mic, DEVICE_MIC),
    "mic/memory.pcm": Try("some sound", providers.heard, MEMORY),
    "mic/memory.frames": Try("[some sound]", providers.heard, MEMORY),
    "mic/scripted.speech.at": Try("600ms", path="stages.mic.speech.0.at"),
    "mic/scripted.speech.lasts": Try("600ms", path="stages.mic.speech.0.lasts"),
    "mic/scripted.length": Try("7s"),
    "mic/wav.path": Try("$AUDIO/conversation.wav", providers.heard, WAV_SOURCE),
    # -- vad
    "vad.start": Try("200ms"),
    "vad.pause": Try("200ms"),
    "vad.end.complete": Try("100ms", turns.ended),
    "vad.end.unsure": Try("700ms", turns.ended),
    "vad.end.incomplete": Try("900ms", turns.ended),
    "vad.end.likely": Try("0.95", turns.ended),
    "vad.end.unlikely": Try("0.05", turns.ended),
    "vad.longest": Try("500ms"),
    "vad.threshold": Try("0.99"),
    "vad.release": Try("0.01"),
    "vad/scripted.latency": Try("50ms"),
    "vad/scripted.voiced": Try("0.1"),
    "vad/scripted.silent": Try("0.9"),
    "vad/webrtcvad.aggressiveness": Try("3", providers.detected, WEBRTC),
    # -- asr
    "asr/assemblyai.api_key": Try("other-key", transcribed, ASSEMBLY),
    "asr/assemblyai.base_url": Try("$WS/behind", transcribed, ASSEMBLY),
    "asr/assemblyai.model": Try("other", transcribed, ASSEMBLY),
    "asr/assemblyai.keyterms": Try("[Tegernsee]", transcribed, ASSEMBLY),
    "asr/assemblyai.format": Try("true", transcribed, ASSEMBLY),
    "asr/assemblyai.ends": Try("server", providers.unasked, NO_SERVICE),
    "asr/assemblyai.min_silence": Try("300ms", transcribed, ASSEMBLY),
    "asr/assemblyai.max_silence": Try("900ms", transcribed, ASSEMBLY),
    "asr/assemblyai.piece": Try("100ms", transcribed, ASSEMBLY),
    "asr/assemblyai.final_within": Try("50ms", unanswered, ASSEMBLY),
    "asr/assemblyai.catch_up": Try("4.0", providers.streamed, NO_SERVICE),
    "asr/moonshine.every": Try("300ms", providers.decoded, MOONSHINE),
    "asr/moonshine.parallel": Try("2", providers.decoded, MOONSHINE),
    "asr/moonshine.waiting": Try("2", providers.decoded, MOONSHINE),
    "asr/moonshine.longest": Try("8s", providers.decoded, MOONSHINE),
    "asr/moonshine.ahead": Try("40ms", providers.decoded, MOONSHINE),
    "asr/openai_compatible.base_url": Try("$URL/behind/v1", sent_file, HEARING),
    "asr/openai_compatible.api_key": Try("other-key", sent_file, HEARING),
    "asr/openai_compatible.model": Try("other", sent_file, HEARING),
    "asr/openai_compatible.extra": Try("{temperature: 0}", sent_file, HEARING),
    "asr/openai_compatible.every": Try("200ms", sent_file, HEARING),
    "asr/openai_compatible.longest": Try("400ms", sent_file, HEARING),
    "asr/openai_compatible.eager": Try("false", sent_file, HEARING),
    "asr/openai_compatible.language": Try("de", sent_file, HEARING),
    "asr/openai_compatible.prompt": Try("Tegernsee", sent_file, HEARING),
    "asr/scripted.utterances": Try("[Hello., Stop.]"),
    "asr/scripted.final_after": Try("160ms"),
    "asr/scripted.partial_every": Try("200ms"),
    "asr/scripted.partial_after": Try("90ms"),
    # -- turn
    "turn.id": Try("another", turns.drawn),
    "turn.allow": Try("[FK999]", turns.ended),
    "turn.from": Try("mic", turns.ended),
    "turn.queue.max": Try("7", turns.drawn),
    "turn.queue.when_full": Try("error", turns.drawn),
    "turn.provider": Try("words", turns.drawn, ("stages.turn={kind: turn, provider: scripted}",)),
    "turn.failover": Try("[{provider: words}]", look.unloadable("turn", turns.TURNED)),
    "turn/words.language": Try("de", turns.judged),
    "turn/smart_turn.threads": Try("2", turns.threads),
    "turn/scripted.likelihood": Try("[0.1]", turns.ended),
    "turn/scripted.latency": Try("300ms", turns.ended),
    "turn/scripted.hangs": Try("true", turns.ended),
    # -- gate
    "gate.release": Try("asr_final", look.complained),
    "gate.typing": Try("interrupts", look.typed),
    "gate.final_timeout": Try("20ms"),
    "vad.speech_for": Try("600ms"),
    "vad.level": Try("0.99"),
    "vad.lengths": Try("[300ms]"),
    "gate.min_words": Try("2"),
    "gate.ignore": Try("[and now please stop]"),
    "gate.resume_after": Try("160ms", given=("stages.gate.min_words=9",)),
    "gate.backchannel": Try("ignore"),
    "gate.always_for": Try("300ms", given=("stages.gate.min_words=9",)),
    **dict(of_states("gate.while", "stages.gate.")),
    "gate.preempt.at": Try("0.95", turns.ended, ("stages.gate.preempt={}",)),
    "gate.preempt.stable_for": Try("300ms", turns.ended, ("stages.gate.preempt={}",)),
    "gate.preempt.max_tries": Try("1", turns.ended, ("stages.gate.preempt={stable_for: 0ms}",)),
    "gate.join_words": Try("0", given=BEFORE_ANY_SOUND),
    # -- llm
    "llm.max_history": Try("0"),
    "llm.history_tokens": Try("0"),
    "llm.history": Try("generated"),
    "llm.preempt.at": Try("0.95", turns.ended, ("stages.llm.preempt={}",)),
    "llm.preempt.stable_for": Try("300ms", turns.ended, ("stages.llm.preempt={}",)),
    "llm.preempt.max_tries": Try("1", turns.ended, ("stages.llm.preempt={stable_for: 0ms}",)),
    "llm/canned.text": Try("Other.", providers.answered, CANNED),
    "llm/canned.replies": Try("[One., Two.]", providers.answered, CANNED),
    **{f"llm/groq.{key}": Try(value, asked, GROQ) for key, value in OF_CHATS.items()},
    **{f"llm/openai_compatible.{key}": Try(value, asked, OPENAI) for key, value in OF_CHATS.items()},
    "llm/openai_compatible.token_limit": Try("max_completion_tokens", asked, OPENAI),
    "llm/openai_compatible.resumes": Try("true", providers.resumed, NO_SERVER),
    "llm/openai_compatible.opens_reasoning": Try("true", providers.thought, OPENAI),
    "llm/llamacpp.model": Try("$TMP/b.gguf", providers.told_llama, LLAMA),
    "llm/llamacpp.sha256": Try("ab" * 32, providers.told_llama, LLAMA),
    "llm/llamacpp.system": Try("Be brief.", providers.told_llama, LLAMA),
    "llm/llamacpp.examples.user": Try("How?", providers.told_llama, EXAMPLES, "stages.llm.examples.0.user"),
    "llm/llamacpp.examples.agent": Try("So.", providers.told_llama, EXAMPLES, "stages.llm.examples.0.agent"),
    "llm/llamacpp.max_tokens": Try("9", providers.told_llama, LLAMA),
    "llm/llamacpp.temperature": Try("0.5", providers.told_llama, LLAMA),
    "llm/llamacpp.seed": Try("7", providers.told_llama, LLAMA),
    "llm/llamacpp.context": Try("512", providers.told_llama, LLAMA),
    "llm/llamacpp.remember": Try("2", providers.told_llama, LLAMA),
    "llm/llamacpp.parallel": Try("2", providers.told_llama, LLAMA),
    "llm/llamacpp.waiting": Try("2", providers.lined, LLAMA),
    "llm/llamacpp.threads": Try("200", providers.told_llama, LLAMA),
    "llm/scripted.replies.text": Try("London.", path="stages.llm.replies.0.text"),
    "llm/scripted.replies.to": Try("Something else.", path="stages.llm.replies.0.to"),
    "llm/scripted.replies.tokens": Try("[It, ' is', ' Rome.']", path="stages.llm.replies.0.tokens"),
    "llm/scripted.replies.fail_after": Try("2", path="stages.llm.replies.0.fail_after"),
    "llm/scripted.first_token": Try("300ms"),
    "llm/scripted.per_token": Try("30ms"),
    # -- chunker
    "chunker.mode": Try("reply"),
    "chunker.language": Try("en", look.said, reply("I met Mr. Smith there. Yes.")),
    "chunker.first.min_tokens": Try("20", look.said, reply("Well, then; let us go now, and not later than that.")),
    "chunker.first.flush_after": Try("50ms", look.said, SLOWLY),
    "chunker.comma_after": Try("3", look.said, reply(LONG)),
    "chunker.semicolon_after": Try("30", look.said, reply("Yes indeed. All of this is well; all of that is not.")),
    "chunker.colon_after": Try("30", look.said, reply("Yes indeed. What we have here today: wine and cheese.")),
    "chunker.dash_after": Try("2", look.said, reply("Yes indeed. All of this is well - all of that is not.")),
    "chunker.max_tokens": Try("6", look.said, reply(LONG)),
    "chunker.flush_after": Try("50ms", look.said, SLOWLY),
    "chunker.never_split": Try("[Yahoo!]", look.said, reply("Go to Yahoo! Then look. Yes.")),
    **{f"chunker.speak.{span}": Try("verbatim", look.said, reply(text)) for span, text in SPANS.items()},
    "chunker.speculate_end": Try("true"),
    # -- tts
    "tts/openai_compatible.base_url": Try("$URL/behind/v1", spoken, SPEAKING),
    "tts/openai_compatible.api_key": Try("other-key", spoken, SPEAKING),
    "tts/openai_compatible.model": Try("other", spoken, SPEAKING),
    "tts/openai_compatible.stream_format": Try("sse", spoken, SPEAKING),
    "tts/openai_compatible.extra": Try("{instructions: Whisper}", spoken, SPEAKING),
    "tts/openai_compatible.voice": Try("berta", spoken, SPEAKING),
    "tts/openai_compatible.rate": Try("16000", spoken, SPEAKING),
    "tts/openai_compatible.speed": Try("1.5", spoken, SPEAKING),
    "tts/cartesia.voice": Try("berta", narrated, CARTESIA),
    "tts/cartesia.api_key": Try("other-key", narrated, CARTESIA),
    "tts/cartesia.base_url": Try("$WS/behind", narrated, CARTESIA),
    "tts/cartesia.model": Try("other", narrated, CARTESIA),
    "tts/cartesia.language": Try("de", narrated, CARTESIA),
    "tts/cartesia.rate": Try("16000", narrated, CARTESIA),
    "tts/cartesia.markup": Try("true", narrated, CARTESIA),
    "tts/nanotts.voice": Try("de-DE", told_nano, NANO),
    "tts/nanotts.speed": Try("2.0", told_nano, NANO),
    "tts/nanotts.pitch": Try("1.5", told_nano, NANO),
    "tts/nanotts.parallel": Try("2", told_nano, NANO),
    "tts/nanotts.waiting": Try("2", told_nano, NANO),
    "tts/nanotts.volume": Try("0.2", told_nano, NANO),
    "tts/piper.voice": Try("$TMP/b.onnx", told_piper, PIPER),
    "tts/piper.speed": Try("2.0", told_piper, PIPER),
    "tts/piper.variation": Try("0.2", told_piper, PIPER),
    "tts/piper.threads": Try("3", told_piper, PIPER),
    "tts/piper.parallel": Try("2", told_piper, PIPER),
    "tts/piper.waiting": Try("2", told_piper, PIPER),
    "tts/piper.markup": Try("true", told_piper, PIPER),
    "tts/print.prefix": Try("> ", providers.printed, stage("tts", "provider: print")),
    "tts/scripted.first_audio": Try("200ms"),
    "tts/scripted.synthesis_per_char": Try("5ms"),
    "tts/scripted.per_piece": Try("20ms"),
    "tts/scripted.piece": Try("50ms"),
    "tts/scripted.per_char": Try("30ms"),
    "tts/scripted.rate": Try("24000"),
    "tts/scripted.fail": Try("true"),
    # -- speaker
    "speaker.lead": Try("300ms"),
    "speaker/device.device": Try("Built", wanted_speaker, DEVICE_SPEAKER),
    "speaker/device.rate": Try("48000", wanted_speaker, DEVICE_SPEAKER),
    "speaker/device.channels": Try("2", wanted_speaker, DEVICE_SPEAKER),
    "speaker/device.if_any": Try("true", no_speaker, DEVICE_SPEAKER),
    "speaker/wav.path": Try("$TMP/other.wav", providers.written, WAV_SINK),
    "speaker/wav.overwrite": Try("true", providers.written, stage("speaker", "provider: wav, path: $TMP/there.wav")),
    "speaker/wav.rate": Try("48000", providers.written, WAV_SINK),
}

IDLE = (
    "idle.after=500ms",
    "idle.say=Still there?",
    "stages.mic.speech=[{at: 300ms, lasts: 900ms}]",
    "stages.mic.length=9s",
    "stages.llm.replies.0.text=Well.",
)
FUNCTION = ("tools=[{call: flowkit.samples.restaurant:book_table}]",)
MCP = ("tools=[{mcp: {url: 'http://127.0.0.1:$PORT/mcp'}}]",)
NAMED = ("tools=[{name: look, http: {url: 'http://127.0.0.1:1'}}]",)

TABLE |= {
    "greeting.text": Try("Hello.", given=("greeting.text=Good day.",)),
    "greeting.interruptible": Try("false", given=("greeting.text=Good day to you, and welcome.",)),
    "idle.after": Try("900ms", given=IDLE),
    "idle.say": Try("Well?", given=IDLE),
    "idle.times": Try("1", given=IDLE),
    "idle.then": Try("end_session", given=IDLE),
    "limits.session": Try("2s"),
    "limits.tool_rounds": Try("1", tools.called, ("stages.llm.replies.2.calls=[{name: book_table}]",)),
    "gate.greeting": Try("{text: Hello.}"),
    "gate.idle": Try("{after: 500ms, say: Well?}"),
    "gate.session": Try("2s"),
    "llm.tool_rounds": Try("1", tools.called, ("stages.llm.replies.2.calls=[{name: book_table}]",)),
    "llm.text_tools": Try("true", tools.called, ("stages.llm.replies.1.text=<function=book_table>{}</function>",)),
    "llm/scripted.replies.calls.name": Try("other", tools.called, path="stages.llm.replies.0.calls.0.name"),
    "llm/scripted.replies.calls.arguments": Try("'{'", tools.called, path="stages.llm.replies.0.calls.0.arguments"),
    "llm/scripted.replies.after": Try("other", tools.called, path="stages.llm.replies.3.after"),
    # -- tools
    "tools.name": Try("reserve", tools.called, path="tools.0.name"),
    "tools.call": Try("flowkit.samples.restaurant:free_tables", tools.told, FUNCTION, "tools.0.call"),
    "tools.http.method": Try("PUT", tools.requested, path="tools.0.http.method"),
    "tools.http.url": Try("http://127.0.0.1:$PORT/{city}", tools.requested, path="tools.0.http.url"),
    "tools.http.headers": Try("{x-key: abc}", tools.requested, path="tools.0.http.headers"),
    "tools.mcp.command": Try("[$PYTHON, -c, 'raise SystemExit(7)']", tools.served, path="tools.0.mcp.command"),
    "tools.mcp.env": Try("{ORDER: '7'}", tools.served, path="tools.0.mcp.env"),
    "tools.mcp.url": Try(
        "http://127.0.0.1:1/mcp", tools.told, ("tools=[{mcp: {url: 'http://127.0.0.1:2/mcp'}}]",), "tools.0.mcp.url"
    ),
    "tools.mcp.headers": Try("{x-key: abc}", tools.requested, MCP, "tools.0.mcp.headers"),
    "tools.only": Try("[pay]", tools.served, path="tools.0.only"),
    "tools.builtin": Try("end_session", tools.called, ("tools.0={name: book_table, call: a:b}",), "tools.0"),
    "tools.description": Try("Look it up.", tools.told, FUNCTION, "tools.0.description"),
    "tools.parameters": Try("{town: {type: string}}", tools.requested, path="tools.0.parameters"),
    "tools.timeout": Try("100ms", tools.called, path="tools.0.timeout"),
    "tools.say_after.after": Try("10s", tools.called, path="tools.0.say_after.after"),
    "tools.say_after.text": Try("Wait.", tools.called, path="tools.0.say_after.text"),
    "tools.on_interrupt": Try("cancel", tools.interrupted, path="tools.0.on_interrupt"),
    "tools.effects": Try("none", tools.again, path="tools.0.effects"),
    "tools.after_playout": Try("false", tools.called, path="tools.1.after_playout"),
    "tools.kind": Try("tool", tools.called),
    "tools.id": Try("helpers", tools.called),
    "tools.allow": Try("[FK999]", tools.called),
    "tools.provider": Try("local", tools.told, ("stages.tools={kind: tools, provider: scripted}", *FUNCTION)),
    "tools.failover": Try("[{provider: scripted}]", look.unloadable("tools", tools.TOOLED)),
    "tools.tools": Try("[]", tools.called),
    "tools/scripted.outcomes.tool": Try("other", tools.called, path="stages.tools.outcomes.0.tool"),
    "tools/scripted.outcomes.after": Try("300ms", tools.called, path="stages.tools.outcomes.0.after"),
    "tools/scripted.outcomes.says": Try("Yes.", tools.called, path="stages.tools.outcomes.0.says"),
    "tools/scripted.outcomes.fails": Try("true", tools.called, path="stages.tools.outcomes.0.fails"),
    "tools/scripted.outcomes.hangs": Try("true", tools.called, path="stages.tools.outcomes.0.hangs"),
}

FROM_PYTHON = {"speaker/memory.on_pop"}
"""A function; no file can hold one."""


# -- the test ----------------------------------------------------------------------------------------------------------


def test_every_key_is_in_the_table() -> None:
    assert set(TABLE) == set(every_key()) - FROM_PYTHON


@cache
def usual(seen: Experiment, given: tuple[str, ...]) -> Any:
    """The result with the given settings. It runs twice, because a result that varies by itself shows nothing."""
    first, second = seen(*given), seen(*given)
    assert first == second
    return first


@pytest.mark.parametrize("key", TABLE)
def test_changing_it_changes_something(key: str) -> None:
    value, seen, given, path = TABLE[key]
    owner, _, rest = key.partition(".")
    kind = owner.partition("/")[0]
    path = path or (f"stages.{kind}.{rest}" if kind in CATALOG.kinds() else key)
    assert seen(*given, f"{path}={value}") != usual(seen, given)
