"""Scripts that answer as the recorded providers did, with the recorded delays.

If a stage held an item back, the time at which its provider would have sent it is unknown. Such an item comes when it
came then. Credits are not replayed, because the pump makes its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    Probability,
    ToolCall,
    ToolOutcome,
)
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.material import Input, RecordedCall

BLOCK = 25
"""How many frames may come as one message: half a second. Fewer messages make a replay faster."""

_SOON_US = 20_000
"""If the replay does not cancel a call that was cancelled then, it ends this long after that time."""

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
        self._ends = [
            (there_us, item) for call in calls for there_us, _, item in call.items if not isinstance(item, Frames)
        ]
        self._frames = recorded.frames
        self._block = block

    def open(self, request: Message) -> InlineCall:
        return scripted(_rising(self._merged()))

    def _merged(self) -> Iterator[tuple[int, Message]]:
        # With an end that never comes, the loop need not check whether there is another one.
        ends = iter([*self._ends, (1 << 62, Done())])
        end_us, end = next(ends)
        for at_us, frames in self._blocks([at_us for at_us, _ in self._ends]):
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

    @property
    def text(self) -> str:
        """The final transcript."""
        return self.answers[-1][1].text


class Finals:
    """The final transcripts by the last voiced frame of their utterance.

    Partial transcripts after the end of the utterance are kept with its final one, so that it does not overtake them.
    """

    def __init__(self, calls: Iterable[RecordedCall], utterances: Iterable[tuple[int, int, int]]) -> None:
        items = [(at_us, item) for call in calls for at_us, _, item in call.items if isinstance(item, Partial | Final)]
        self._partials = [(at_us, item.text) for at_us, item in items]
        self._left: list[Said] = []
        self.tails: set[tuple[int, str]] = set()
        """The partial transcripts that came after the end of an utterance, with their times."""
        for frame, ended_us, number in utterances:
            if tail := _until_final(items, ended_us, number):
                self._left.append(Said(frame, [(max(0, at_us - ended_us), item) for at_us, item in tail]))
                self.tails |= {(at_us, item.text) for at_us, item in tail[:-1]}
        # The median, so that one slow transcript does not move it.
        self._usual_us = round(median(said.answers[-1][0] for said in self._left)) if self._left else 0
        self.assumed: list[str] = []

    def answers(self, end: EndOfUtterance, last_voiced: int, frame_us: int) -> _Answers:
        """The answers to the utterance that ends with recorded frame `last_voiced`.

        If a longer silence joins utterances, their transcripts are joined. If a shorter silence splits one, its first
        part gets the newest partial transcript, which is noted in `assumed`.
        """
        # With other VAD settings the same utterance may end a few frames earlier than it did.
        slack = 100_000 // frame_us
        taken = [said for said in self._left if said.last_voiced <= last_voiced + slack]
        self._left = self._left[len(taken) :]
        if taken:
            *partials, (delay_us, _) = taken[-1].answers
            text = " ".join(said.text for said in taken if said.text)
            return [*partials, (delay_us, Final(text, end.utterance))]
        spoken_us = (last_voiced + 1) * frame_us
        text = next((text for at_us, text in reversed(self._partials) if at_us <= spoken_us + self._usual_us), "")
        self.assumed.append(f"utterance cut after frame {last_voiced}: {text[:40]!r} taken from a partial transcript")
        return [(self._usual_us, Final(text, end.utterance))]


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
    """Partial transcripts at their recorded times, and a final one for each end of an utterance."""

    def __init__(self, calls: list[RecordedCall], finals: Finals, frame_us: int) -> None:
        self._calls = iter(calls)
        self._finals = finals
        self._frame_us = frame_us

    def open(self, request: Message) -> InlineCall:
        recorded = next(self._calls, None)
        kept = [] if recorded is None else [known for known in recorded.items if not self._at_end(known)]
        said = _rising((there_us - recorded.opened_us, item) for there_us, _, item in kept) if recorded else ()
        return InlineCall(opened=lambda: said, fed=self._fed)

    def _at_end(self, known: tuple[int, int, Message]) -> bool:
        """Whether the item was an answer to the end of an utterance."""
        there_us, _, item = known
        return isinstance(item, Final) or (isinstance(item, Partial) and (there_us, item.text) in self._finals.tails)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, EndOfUtterance):
            return []
        return self._finals.answers(item, item.last_voiced, self._frame_us)


class RecordedLlm(Script):
    """Replies by the user's text, in the order in which they were given. What follows tool calls is chosen among the replies
    after as many rounds.

    A text that was never sent gets the next unused reply, which is noted in `assumed`. If there is none, the call ends
    without an item.
    """

    def __init__(self, calls: list[RecordedCall]) -> None:
        self._left = [call for call in calls if isinstance(call.request, Ask)]
        self._all = list(self._left)
        gaps = [b - a for call in calls for (a, _, _), (b, _, _) in zip(call.items, call.items[1:], strict=False)]
        self._gap_us = round(median(gaps)) if gaps else 0
        self.assumed: list[str] = []

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        call = self._chosen(request)
        if call is None:
            return scripted([(0, Done())])
        items = list(since_opened(call))
        if call.cancelled:
            # The call was cancelled then. If the replay does not cancel it, the reply ends where the recording does.
            cut_us = (call.ended_us or call.opened_us) - call.opened_us
            items.append((cut_us + max(self._gap_us, _SOON_US), Done()))
        return scripted(items)

    def _chosen(self, request: Ask) -> RecordedCall | None:
        # A text may be asked several times. When its replies are used up, the newest one is given again.
        same = [call for call in self._left if _same_question(call, request)]
        again = [call for call in self._all if _same_question(call, request)]
        call = next(iter([*same, *again[-1:]]), None)
        if call is None:
            call = next(iter(self._left), None)
            self.assumed.append(f"turn {request.turn}: the reply to {request.text[:40]!r} is not in the trace")
        elif call.request.history != request.history:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from another history")
        elif call.request.steps != request.steps:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from other tool calls")
        if call is not None and call in self._left:
            self._left.remove(call)
        return call


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
