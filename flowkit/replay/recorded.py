"""Scripts that answer as the recorded providers did, with the recorded delays.

If a stage held an item back, the time at which its provider would have sent it is unknown. Such an item comes when it
came then. Credits are not replayed, because the pump makes its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from flowkit.messages import (
    Ask,
    Done,
    EndOfUtterance,
    Frames,
    Message,
    Probability,
    ToolCall,
    ToolOutcome,
)
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.chance import Chance, World, delays_of
from flowkit.replay.material import Input, RecordedCall
from flowkit.replay.transcripts import Finals
from flowkit.replay.unfinished import Unfinished

BLOCK = 25
"""How many frames may come as one message: half a second. Fewer messages make a replay faster."""

_Answers = list[tuple[int, Message]]


def rising(items: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
    """The items with delays that never decrease: items leave a call one after another."""
    latest_us = 0
    for at_us, item in items:
        latest_us = max(latest_us, at_us)
        yield latest_us, item


def since_opened(call: RecordedCall) -> Iterator[tuple[int, Message]]:
    """A call's items with their delay after its request."""
    return rising((there_us - call.opened_us, item) for there_us, _, item in call.items)


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
        return scripted(rising(self._merged()))

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
        return scripted(rising(self._items))


class RecordedAsr(Script):
    """Transcripts at their recorded times, but for those that answer the end of an utterance: they follow it."""

    def __init__(self, calls: list[RecordedCall], finals: Finals) -> None:
        self._calls = iter(calls)
        self._finals = finals

    def open(self, request: Message) -> InlineCall:
        recorded = next(self._calls, None)
        kept = [] if recorded is None else [k for k in recorded.items if not self._finals.answered(k[0], k[2])]
        said = rising((there_us - recorded.opened_us, item) for there_us, _, item in kept) if recorded else ()
        return InlineCall(opened=lambda: said, fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, EndOfUtterance):
            return []
        return self._finals.answers(item, item.last_voiced)


class RecordedLlm(Script):
    """Replies by the user's text, in the order in which they were given. What follows tool calls is chosen among the replies
    after as many rounds.

    A text that was never sent gets the reply to the text that has most words in common with it, or else the next unused
    one. Both are noted in `assumed`. If there is none, the call ends without an item.

    What a reply that was cut off would have said is unknown. It goes on as another reply of the recording did, with other
    letters, which is noted too.
    """

    def __init__(self, calls: list[RecordedCall], chance: Chance | None = None) -> None:
        self._all = [call for call in calls if isinstance(call.request, Ask)]
        self._unused = dict(enumerate(self._all))
        self._places: dict[tuple[str, int], list[int]] = {}
        """The places of the replies to each question."""
        for place, call in self._unused.items():
            self._places.setdefault(_question(call.request), []).append(place)
        self._chance = chance or Chance()
        self._unfinished = Unfinished(self._all, self._chance)
        self._firsts = delays_of([items[0][0] for call in self._all if (items := list(since_opened(call)))])
        self.assumed: list[str] = []

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        call, known = self._chosen(request)
        if call is None:
            return scripted([(0, Done())])
        items = list(since_opened(call))
        answers = chain(items, self._unknown(call, items, request.turn)) if call.cancelled else items
        if items and (self._chance.fresh or not known):
            name = (request.text, len(request.steps))
            first_us = items[0][0] if self._chance.world is World.MIDDLE else self._first_us(name)
            later_us = first_us - items[0][0]
            return scripted((max(0, at_us + later_us), item) for at_us, item in answers)
        return scripted(answers)

    def _first_us(self, name: object) -> int:
        return self._firsts.drawn_us(self._chance, "when a reply begins", name)

    def _unknown(self, call: RecordedCall, items: _Answers, turn: int) -> Iterator[tuple[int, Message]]:
        """What comes after the time at which the call was cancelled then, unless the replay cancels it too."""
        cut_us = (call.ended_us or call.opened_us) - call.opened_us
        for number, answer in enumerate(self._unfinished.after(items, cut_us, call.opened_us)):
            # Answers are drawn one ahead, so the second is drawn only when the first has been used.
            if number == 1:
                self.assumed.append(f"turn {turn}: how the reply goes on is unknown, because it was cut off")
            yield answer

    def _chosen(self, request: Ask) -> tuple[RecordedCall | None, bool]:
        """The reply to a request, and whether this text was asked."""
        # A text may be asked several times. When its replies are used up, the newest one is given again.
        same = self._places.get(_question(request), [])
        place = next((place for place in same if place in self._unused), next(reversed(same), None))
        known = place is not None
        if place is None:
            nearest = self._nearest(request)
            place = next(iter(self._unused), None) if nearest is None else nearest
            self.assumed.append(f"turn {request.turn}: the reply to {request.text[:40]!r} is not in the trace")
        if place is None:
            return None, False
        call = self._all[place]
        self._unused.pop(place, None)
        if known and call.request.history != request.history:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from another history")
        elif known and call.request.steps != request.steps:  # type: ignore[attr-defined]
            self.assumed.append(f"turn {request.turn}: the reply is taken from other tool calls")
        return call, known

    def _nearest(self, request: Ask) -> int | None:
        """The place of the reply to the text that has most words in common, whole ones first; None if no text has any. In other
        worlds, any reply to as many outcomes of tools: another text may get an answer of any length."""
        words = set(request.text.split())
        rated = sorted(
            (
                (len(words & asked) / max(1, len(words | asked)), not call.cancelled, -place)
                for place, call in enumerate(self._all)
                if len(call.request.steps) == len(request.steps)  # type: ignore[attr-defined]
                for asked in [set(call.request.text.split())]  # type: ignore[attr-defined]
            ),
            reverse=True,
        )
        if not rated or (self._chance.world is World.MIDDLE and not rated[0][0]):
            return None
        return -rated[self._chance.index(len(rated), 0, "the answer to another text", request.text)][2]


def _question(request: Message) -> tuple[str, int]:
    """What replies are known by: the user's text, and how many rounds of tools came before."""
    assert isinstance(request, Ask)
    return request.text, len(request.steps)


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
