"""Scripts that answer as the recorded providers did, with the recorded delays.

If a stage held an item back, the time at which its provider would have sent it is unknown. Such an item comes when it
came then. Credits are not replayed, because the pump makes its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from statistics import median
from typing import NamedTuple

from flowkit.messages import (
    Ask,
    Done,
    EndOfUtterance,
    Final,
    Frames,
    Message,
    Partial,
    Prediction,
    Probability,
    ToolCall,
    ToolOutcome,
    TurnSoFar,
)
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.material import Input, RecordedCall
from flowkit.replay.unfinished import Unfinished

BLOCK = 25
"""How many frames may come as one message: half a second. Fewer messages make a replay faster."""

_Answers = list[tuple[int, Message]]


def _rising(items: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
    """The items with delays that never decrease: items leave a call one after another."""
    latest_us = 0
    for at_us, item in items:
        latest_us = max(latest_us, at_us)
        yield latest_us, item


def since_opened(call: RecordedCall) -> Iterator[tuple[int, Message]]:
    """A call's items with their delay after its request."""
    return _rising((there_us - call.opened_us, item) for there_us, _, item in call.items)


def scripted(answers: Iterable[tuple[int, Message]]) -> InlineCall:
    """A call that gives these answers, whatever it is fed."""
    return InlineCall(opened=lambda: answers)


class InOrder(Script):
    """Answers the first call as the first recorded call, and so on. Calls beyond the recorded ones get no answer."""

    def __init__(self, calls: Iterable[RecordedCall]) -> None:
        self._calls = iter(calls)

    def open(self, request: Message) -> InlineCall:
        call = next(self._calls, None)
        return scripted(()) if call is None else scripted(since_opened(call))


class RecordedSource(Script):
    """The microphone: its frames, at most `block` per message, and its end."""

    def __init__(self, calls: list[RecordedCall], recorded: Input, block: int = BLOCK) -> None:
        self._unfinished = [
            (there_us, item) for call in calls for there_us, _, item in call.items if not isinstance(item, Frames)
        ]
        self._frames = recorded.frames
        self._block = block

    def open(self, request: Message) -> InlineCall:
        return scripted(_rising(self._merged()))

    def _merged(self) -> Iterator[tuple[int, Message]]:
        # With an end that never comes, the loop need not check whether there is another one.
        ends = iter([*self._unfinished, (1 << 62, Done())])
        end_us, end = next(ends)
        for at_us, frames in self._blocks([at_us for at_us, _ in self._unfinished]):
            while end_us < at_us:
                yield end_us, end
                end_us, end = next(ends)
            yield at_us, frames
        while end_us < 1 << 62:
            yield end_us, end
            end_us, end = next(ends)

    def _blocks(self, cuts: list[int]) -> Iterator[tuple[int, Message]]:
        """The frames in blocks. A block ends at each of the times `cuts`, so that the end of the input keeps its place."""
        first = count = there_us = 0
        waiting = iter([*cuts, 1 << 62])
        cut_us = next(waiting)
        for index, more, at_us in self._frames:
            if count and (index != first + count or count + more > self._block or at_us > cut_us):
                yield there_us, Frames(first, count)
                first, count = index, 0
            while at_us > cut_us:
                cut_us = next(waiting)
            first = index if not count else first
            count, there_us = count + more, at_us
        if count:
            yield there_us, Frames(first, count)


class RecordedVad(Script):
    """Probabilities at their recorded times. They do not depend on what the VAD is fed."""

    def __init__(self, calls: list[RecordedCall], recorded: Input) -> None:
        ends = [(at_us, item) for call in calls for at_us, _, item in call.items if not isinstance(item, Probability)]
        answers: _Answers = [(at_us, Probability(frame, p)) for at_us, frame, p in recorded.answers]
        self._items = sorted([*answers, *ends], key=lambda item: item[0]) if ends else answers

    def open(self, request: Message) -> InlineCall:
        return scripted(_rising(self._items))


class Said(NamedTuple):
    """The answers to the end of an utterance: partial transcripts and the final one, with their delays after it."""

    last_voiced: int
    answers: list[tuple[int, Partial | Final]]
    ready_us: int
    """How long after the last voiced frame the final transcript was ready at the latest."""
    after_us: int
    """From then, or from the end of the utterance if that came later, to the final transcript."""
    ahead: bool
    """Whether it looks as if it was decoded before the end of the utterance was known."""

    @property
    def text(self) -> str:
        """The final transcript. An utterance whose transcript never came has none."""
        return self.answers[-1][1].text if self.answers else ""


class Finals:
    """The final transcripts by the last voiced frame of their utterance.

    Partial transcripts after the end of the utterance are kept with its final one, so that it does not overtake them.

    Most ASRs begin to work on the final transcript when the utterance has ended. Some decode ahead as soon as the user is
    quiet, and then a shorter silence does not make the transcript come sooner. Of these it is known when the transcript was
    ready: when the same text came as a partial one, or at the latest when the final one came.
    """

    def __init__(self, calls: Iterable[RecordedCall], heard: Input, frame_us: int) -> None:
        items = [(at_us, item) for call in calls for at_us, _, item in call.items if isinstance(item, Partial | Final)]
        there = heard.arrivals()
        arrived = list(there.values())
        self._came = [(at_us, isinstance(item, Final), item.text) for at_us, item in items]
        self._frame_us = frame_us
        self._left: list[Said] = []
        self._given = ""
        self._tails: set[tuple[int, Message]] = set()
        for frame, ended_us, number in heard.utterances:
            if not (tail := _until_final(items, ended_us, number)):
                self._left.append(Said(frame, [], 0, 0, False))
            else:
                newest = bisect_right(arrived, ended_us) - 1
                self._left.append(_said(frame, ended_us - (newest - frame) * frame_us, ended_us, tail, items))
                self._tails |= set(tail)
        worded = [said for said in self._left if said.text]
        self._ahead = 2 * sum(said.ahead for said in worded) > len(worded)
        # The median, so that one slow transcript does not move it.
        usual = [said.ready_us if self._ahead else said.answers[-1][0] for said in self._left if said.answers]
        self._usual_us = round(median(usual)) if usual else 0
        self.assumed: list[str] = []

    def answered(self, at_us: int, item: Message) -> bool:
        """Whether an item that came at `at_us` was an answer to the end of an utterance. Without a VAD there are none, and the
        ASR decides by itself."""
        return (at_us, item) in self._tails

    def answers(self, end: EndOfUtterance, last_voiced: int, silent_us: int | None = None) -> _Answers:
        """The answers to the utterance that ends with recorded frame `last_voiced`.

        `silent_us` is how long the user has been silent; None: as long as then. If a longer silence joins utterances, their
        transcripts are joined. If a shorter silence splits one, its first part gets the newest partial transcript, which is
        noted in `assumed`, and the last part gets the rest.
        """
        # With other VAD settings the same utterance may end a few frames earlier than it did.
        same = any(said.last_voiced == last_voiced for said in self._left)
        slack = 0 if same else 100_000 // self._frame_us
        taken = [said for said in self._left if said.last_voiced <= last_voiced + slack]
        self._left = self._left[len(taken) :]
        if taken:
            if not taken[-1].answers:
                return []
            *partials, (delay_us, _) = taken[-1].answers
            text = " ".join(said.text for said in taken if said.text)
            text, self._given = text.removeprefix(self._given).strip() if self._given != text else text, ""
            if silent_us is not None and self._ahead:
                partials, delay_us = [], max(0, taken[-1].ready_us - silent_us) + taken[-1].after_us
            return [*partials, (delay_us, Final(text, end.utterance))]
        return self._cut(end, last_voiced, silent_us or 0)

    def _cut(self, end: EndOfUtterance, last_voiced: int, silent_us: int) -> _Answers:
        """The answer to a part of a recorded utterance."""
        spoken_us = (last_voiced + 1) * self._frame_us
        within_us = self._usual_us if self._ahead else silent_us + self._usual_us
        # Not before the last final transcript, which was of the utterance before.
        since_us = max((us for us, final, _ in self._came if final and us <= spoken_us), default=-1)
        said = (
            text for us, final, text in reversed(self._came) if not final and since_us < us <= spoken_us + within_us
        )
        text = next(said, "")
        self.assumed.append(f"utterance cut after frame {last_voiced}: {text[:40]!r} taken from a partial transcript")
        before, self._given = self._given, text
        delay_us = max(0, self._usual_us - silent_us) if self._ahead else self._usual_us
        return [(delay_us, Final(text.removeprefix(before).strip(), end.utterance))]


_AT_ONCE_US = 5_000
"""An ASR that gives a transcript within less had it ready."""


def _said(
    frame: int,
    voiced_us: int,
    ended_us: int,
    tail: list[tuple[int, Partial | Final]],
    items: list[tuple[int, Partial | Final]],
) -> Said:
    """The answers to an utterance whose last voiced frame came at `voiced_us`."""
    final_us, final = tail[-1]
    same = [
        us for us, item in items if voiced_us < us <= final_us and isinstance(item, Partial) and item.text == final.text
    ]
    ready_us = min([*same, final_us])
    # With the end of the utterance, or in the moment in which the decoding that was under way then was over.
    ahead = final_us <= max(ended_us, ready_us if same else 0) + _AT_ONCE_US
    answers = [(max(0, at_us - ended_us), item) for at_us, item in tail]
    return Said(frame, answers, ready_us - voiced_us, final_us - max(ended_us, ready_us), ahead)


def _until_final(
    items: list[tuple[int, Partial | Final]], ended_us: int, number: int
) -> list[tuple[int, Partial | Final]]:
    """What came from the end of the utterance to its final transcript; empty if there was none."""
    found: list[tuple[int, Partial | Final]] = []
    for at_us, item in items:
        if isinstance(item, Final) and item.utterance == number:
            return [*found, (at_us, item)]
        if at_us >= ended_us and isinstance(item, Partial):
            found.append((at_us, item))
    return []


class RecordedAsr(Script):
    """Transcripts at their recorded times, but for those that answer the end of an utterance: they follow it."""

    def __init__(self, calls: list[RecordedCall], finals: Finals) -> None:
        self._calls = iter(calls)
        self._finals = finals

    def open(self, request: Message) -> InlineCall:
        recorded = next(self._calls, None)
        kept = [] if recorded is None else [k for k in recorded.items if not self._finals.answered(k[0], k[2])]
        said = _rising((there_us - recorded.opened_us, item) for there_us, _, item in kept) if recorded else ()
        return InlineCall(opened=lambda: said, fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, EndOfUtterance):
            return []
        return self._finals.answers(item, item.last_voiced)


class RecordedTurn(Script):
    """An end-of-turn predictor: what it said about the same words, with the recorded delay.

    Words that it never judged get no answer, so that silence alone decides.
    """

    def __init__(self, calls: Iterable[RecordedCall]) -> None:
        self._known: dict[str, tuple[int, Prediction]] = {}
        for call in calls:
            answers = [(at_us, item) for at_us, _, item in call.items if isinstance(item, Prediction)]
            for (fed_us, item), (at_us, answer) in zip(call.judged, answers, strict=False):
                self._known[_words(item)] = (max(0, at_us - fed_us), answer)

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, TurnSoFar):
            return []
        known = self._known.get(_words(item))
        # Half: an answer that tells nothing, so that the stage goes on to what comes next.
        delay_us, answer = (0, Prediction(0.5, "")) if known is None else known
        return [(delay_us, Prediction(answer.p, answer.by, item.until))]


def _words(item: TurnSoFar) -> str:
    return f"{item.asked}\n{item.said}"


class RecordedLlm(Script):
    """Replies by the user's text, in the order in which they were given. What follows tool calls is chosen among the replies
    after as many rounds.

    A text that was never sent gets the reply to the text that has most words in common with it, or else the next unused
    one. Both are noted in `assumed`. If there is none, the call ends without an item.

    What a reply that was cut off would have said is unknown. It goes on as another reply of the recording did, with other
    letters, which is noted too.
    """

    def __init__(self, calls: list[RecordedCall]) -> None:
        self._left = [call for call in calls if isinstance(call.request, Ask)]
        self._all = list(self._left)
        self._unfinished = Unfinished(self._all)
        self.assumed: list[str] = []

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        call = self._chosen(request)
        if call is None:
            return scripted([(0, Done())])
        items = list(since_opened(call))
        return scripted(chain(items, self._unknown(call, items, request.turn)) if call.cancelled else items)

    def _unknown(self, call: RecordedCall, items: _Answers, turn: int) -> Iterator[tuple[int, Message]]:
        """What comes after the time at which the call was cancelled then, unless the replay cancels it too."""
        for number, answer in enumerate(
            self._unfinished.after(items, (call.ended_us or call.opened_us) - call.opened_us)
        ):
            # Answers are drawn one ahead, so the second is drawn only when the first has been used.
            if number == 1:
                self.assumed.append(f"turn {turn}: how the reply goes on is unknown, because it was cut off")
            yield answer

    def _chosen(self, request: Ask) -> RecordedCall | None:
        # A text may be asked several times. When its replies are used up, the newest one is given again.
        same = [call for call in self._left if _same_question(call, request)]
        again = [call for call in self._all if _same_question(call, request)]
        call = next(iter([*same, *again[-1:]]), None)
        if call is None:
            call = self._nearest(request) or next(iter(self._left), None)
            self.assumed.append(f"turn {request.turn}: the reply to {request.text[:40]!r} is not in the trace")
        elif call.request.history != request.history:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from another history")
        elif call.request.steps != request.steps:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from other tool calls")
        if call is not None and call in self._left:
            self._left.remove(call)
        return call

    def _nearest(self, request: Ask) -> RecordedCall | None:
        """The reply to the text that has most words in common, whole ones first; None if no text has any."""
        words = set(request.text.split())
        rated = [
            (len(words & asked) / len(words | asked), not call.cancelled, -place, call)
            for place, call in enumerate(self._all)
            if words & (asked := set(call.request.text.split())) and len(call.request.steps) == len(request.steps)  # type: ignore[attr-defined]
        ]
        return max(rated, key=lambda rating: rating[:3])[3] if rated else None


def _same_question(call: RecordedCall, request: Ask) -> bool:
    asked = call.request
    assert isinstance(asked, Ask)
    return asked.text == request.text and len(asked.steps) == len(request.steps)


class RecordedTools(Script):
    """Outcomes of tool calls, each as long after its call as it came then. A replay never calls a tool.

    A call with other arguments gets the outcome of the next unused call of the same tool, which is noted in `assumed`. If
    there is none, no outcome comes.
    """

    def __init__(self, calls: Iterable[RecordedCall], made: Iterable[tuple[int, ToolCall]]) -> None:
        came = {
            item.id: (at_us, item) for call in calls for at_us, _, item in call.items if isinstance(item, ToolOutcome)
        }
        self._left = [(at_us, call, came.get(call.id)) for at_us, call in made]
        self.assumed: list[str] = []

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, ToolCall):
            return []
        same = (
            n for n, (_, call, _) in enumerate(self._left) if (call.name, call.arguments) == (item.name, item.arguments)
        )
        alike = (n for n, (_, call, _) in enumerate(self._left) if call.name == item.name)
        if (place := next(same, None)) is None:
            place = next(alike, None)
            what = "has no outcome in the trace" if place is None else "was recorded with other arguments"
            self.assumed.append(f"tool {item.name} {item.arguments[:40]}: {what}")
        if place is None:
            return []
        called_us, _, outcome = self._left.pop(place)
        if outcome is None:  # it was given up then
            return []
        came_us, recorded = outcome
        return [(came_us - called_us, ToolOutcome(item.id, recorded.status, recorded.content))]
