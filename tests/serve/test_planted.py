"""Bugs planted one at a time into the protocols: each must be caught by what the tests of the protocols check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from flowkit.messages import Heard, Hold, Interrupt, Play, Played
from flowkit.serve.realtime import reply as replies
from flowkit.serve.realtime.dialogue import Dialogue
from flowkit.serve.realtime.items import Items
from flowkit.serve.realtime.protocol import _ROWS, Protocol
from flowkit.serve.realtime.reply import Replies, Response
from flowkit.serve.realtime.speech import Speech
from flowkit.serve.twilio import line as lines
from flowkit.serve.twilio.line import PhoneLine
from flowkit.serve.twilio.protocol import PhoneCall
from tests.serve.contract import check
from tests.serve.phone import QUIET, VOICE, HeapCaller, told_and_sent
from tests.serve.support import TOOL, HeapClient, S, silence, tone

Monkey = pytest.MonkeyPatch


class Client(HeapClient):
    step_us = 50_000


def spoken_us(plays: Iterable[Play]) -> int:
    """How long the clauses are. After a hold the engine sends a part of them again."""
    ends: dict[int, int] = {}
    for play in plays:
        ends[play.clause] = max(ends.get(play.clause, 0), (play.first_sample + play.samples) * S // play.rate_hz)
    return sum(ends.values())


def conversation() -> None:
    """A day in the life of a session, with what must hold. Raises AssertionError, or whatever a bug raises."""
    client = Client("interrupt.speech_for=300ms")
    client.say(tone(600_000) + silence(600_000))
    client.wait(1_000_000)
    client.say(tone(200_000) + silence(300_000), piece_us=20_000)
    client.wait(8 * S)
    assert client.messages(Hold)
    assert len(client.of("input_audio_buffer.speech_started")) == 1, "a noise was taken for speech"
    assert abs(len(client.audio()) * S // 48_000 - spoken_us(client.messages(Play))) < 20_000, "not what was spoken"
    client.send("session.update", session={"type": "realtime", "tools": [TOOL]})
    client.write("Where is it?")
    client.wait(3 * S)
    call_id = client.of("response.function_call_arguments.done")[0]["call_id"]
    client.send("conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": "left"})
    client.send("response.create", response={"output_modalities": ["text"]})
    client.wait(3 * S)
    client.write("Hello?")
    client.wait(1 * S)
    client.send("response.cancel")
    assert client.types()[-1] == "response.done"
    events, plays = len(client.got), len(client.messages(Play))
    client.wait(3 * S)
    assert (len(client.got), len(client.messages(Play))) == (events, plays), "something after a cancel"
    client.write("Hello?")
    client.wait(1 * S)
    events = len(client.got)
    client.say(tone(600_000))
    types = client.types(events)
    started = types.index("input_audio_buffer.speech_started")
    assert types.index("response.done") > started, "the end before its reason"
    assert "response.output_audio.delta" not in types[started:], "sound of the old reply"
    client.say(silence(600_000))
    client.wait(8 * S)
    check(client.got)
    done, created = client.of("response.done"), client.of("response.created")
    assert [event["response"]["id"] for event in done] == [event["response"]["id"] for event in created]
    assert [event["response"]["status"] for event in done].count("cancelled") == 2
    assert client.replays()


def call() -> None:
    """The same for a telephone call."""
    assert all(told <= sent for told, sent in told_and_sent([(0, 3_000), (1, 700), (1, 9_000)], 24_000))
    caller = HeapCaller("interrupt.speech_for=300ms")
    caller.say(VOICE + QUIET)
    caller.listen(2_500_000)
    events = len(caller.got)
    caller.say(VOICE)
    names = caller.names()[events:]
    assert "clear" in names
    assert not names[names.index("clear") + 1 :], "sound of the old reply"
    rows = [type(row.message) for row in caller.pump.engine.journal.rows]
    assert Played not in rows[rows.index(Interrupt) :], "a mark of what was discarded"
    decided_us = next(row.handled_us for row in caller.pump.engine.journal.rows if type(row.message) is Interrupt)
    sounded_us = 20_000 * sum(at_us < decided_us for at_us, _ in caller.heard)
    told_us = sum(heard.played for heard in caller.messages(Heard)) * S / caller.messages(Play)[0].rate_hz
    assert sounded_us - 200_000 <= told_us <= sounded_us
    before_us = caller.sounded_us()
    caller.say(QUIET)
    caller.listen(1_500_000)
    caller.say(VOICE[:1_600])
    caller.listen(8 * S)
    assert caller.messages(Hold)[1:]
    last = [play for play in caller.messages(Play) if play.epoch == caller.messages(Play)[-1].epoch]
    assert 0 <= caller.sounded_us() - before_us - spoken_us(last) < 40_000, "not what was spoken"
    assert caller.replays()


def after(monkey: Monkey, owner: type, name: str, then: Callable[..., None]) -> None:
    """Do `then` too, behind the method."""
    real = getattr(owner, name)

    def both(self: Any, *args: Any, **named: Any) -> Any:
        found = real(self, *args, **named)
        then(self, *args)
        return found

    monkey.setattr(owner, name, both)


def twice(monkey: Monkey) -> None:
    real = Dialogue.send

    def send(self: Dialogue, type: str, **fields: Any) -> None:
        for _ in range(1 + (type == "response.done")):
            real(self, type, **fields)

    monkey.setattr(Dialogue, "send", send)


def without(type_left_out: str) -> Callable[[Monkey], None]:
    def plant(monkey: Monkey) -> None:
        real = Dialogue.send

        def send(self: Dialogue, type: str, **fields: Any) -> None:
            if type != type_left_out:
                real(self, type, **fields)

        monkey.setattr(Dialogue, "send", send)

    return plant


def changed(where: str, **other: Any) -> Callable[[Monkey], None]:
    """Events of this type get other fields."""

    def plant(monkey: Monkey) -> None:
        real = Dialogue.send

        def send(self: Dialogue, type: str, **fields: Any) -> None:
            real(self, type, **(fields | other if type == where else fields))

        monkey.setattr(Dialogue, "send", send)

    return plant


def goes_on(monkey: Monkey) -> None:
    """A cancelled response takes more sound."""
    real = Replies.cancel

    def cancel(self: Replies, reason: str = "client_cancelled") -> None:
        response, phase = self.response, self.phase
        real(self, reason)
        self.response, self.phase = response, phase

    monkey.setattr(Replies, "cancel", cancel)


def stays(monkey: Monkey) -> None:
    """The engine is not told to stop."""
    monkey.setattr("flowkit.serve.realtime.client.Hands.stop", lambda self: self.reply.cancel())


def at_once(monkey: Monkey) -> None:
    """Speech is announced while it is only suspected."""
    monkey.setattr(Speech, "started", lambda self, row, replying, real=Speech.started: real(self, row, replying=False))


def end_first(monkey: Monkey) -> None:
    """The response ends before the client learns why."""

    def interrupted(self: Protocol, row: Any) -> None:
        self.reply.interrupted()
        self.speech.interrupted()

    monkey.setitem(_ROWS, Interrupt, (("llm", interrupted),))


def swallowed(monkey: Monkey) -> None:
    """What the resampler kept back is never sent, nor anything else of the last clause."""
    monkey.setattr(Replies, "audio", lambda self, row, real=Replies.audio: real(self, row) if not row.clause else None)


BUGS: dict[str, Callable[[Monkey], None]] = {
    "two response.done": twice,
    "no response.done": without("response.done"),
    "no response.created": without("response.created"),
    "an item that is never added": without("response.output_item.added"),
    "an item that is never done": without("response.output_item.done"),
    "a part that is never added": without("response.content_part.added"),
    "no whole transcript": without("response.output_audio_transcript.done"),
    "no arguments": without("response.function_call_arguments.delta"),
    "an utterance that never stops": without("input_audio_buffer.speech_stopped"),
    "the wrong item": changed("response.output_audio.delta", item_id="item_test_1"),
    "the wrong place": changed("response.output_text.delta", output_index=1),
    "the wrong response": changed("response.output_audio.delta", response_id="resp_test_1"),
    "the same event id": lambda m: m.setattr(Dialogue, "new_id", lambda self, kind: f"{kind}_1"),
    "an unknown item before it": lambda m: m.setattr(Items, "add", lambda self, item, real=Items.add: real(self, item) and "x"),
    "the wrong transcript": lambda m: after(m, Replies, "clause", lambda self, row: _forget(self)),
    "sound twice after a hold": lambda m: m.setattr(replies, "unsent", lambda row, sent: row.pcm),
    "bytes after a cancel": goes_on,
    "a reply that is not stopped": stays,
    "speech announced at a suspicion": at_once,
    "the end before its reason": end_first,
    "sound that is swallowed": swallowed,
}  # fmt: skip


def _forget(self: Replies) -> None:
    if isinstance(self.response, Response):
        self.response.said = ""


def believing(monkey: Monkey) -> None:
    """The marks of what Twilio discards count."""

    def stop(self: PhoneLine) -> bool:
        self._mouth, self._rest, self._lag = None, b"", 0
        self._sent.clear()
        return bool(self._marks)

    monkey.setattr(PhoneLine, "stop", stop)


def early(monkey: Monkey) -> None:
    """A mark stands before the sound that it tells of."""
    real = PhoneLine.play

    def play(self: PhoneLine, row: Play) -> Iterator[bytes | str]:
        yield from sorted(real(self, row), key=lambda one: isinstance(one, bytes))

    monkey.setattr(PhoneLine, "play", play)


def estimating(monkey: Monkey) -> None:
    monkey.setattr(PhoneLine, "returned", lambda self, name: None)
    monkey.setattr(PhoneCall, "begin", lambda self: None)


CALL_BUGS: dict[str, Callable[[Monkey], None]] = {
    "no clear": lambda m: m.setattr(PhoneLine, "stop", lambda self, real=PhoneLine.stop: real(self) and False),
    "marks of what was discarded": believing,
    "marks before their sound": early,
    "sound twice after a hold": lambda m: m.setattr(lines, "unsent", lambda row, sent: row.pcm),
    "no end": lambda m: m.setattr(PhoneLine, "flush", lambda self: iter(())),
    "marks that say nothing": lambda m: m.setattr(PhoneLine, "returned", lambda self, name: None),
    "an estimate instead of marks": estimating,
}


def test_without_a_bug_all_holds() -> None:
    conversation()
    call()


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: Monkey) -> None:
    BUGS[name](monkeypatch)
    with pytest.raises((AssertionError, KeyError, IndexError, ValueError)), suppress(RecursionError):
        conversation()


@pytest.mark.parametrize("name", CALL_BUGS)
def test_a_planted_bug_in_a_call_is_caught(name: str, monkeypatch: Monkey) -> None:
    CALL_BUGS[name](monkeypatch)
    with pytest.raises((AssertionError, IndexError)):
        call()
