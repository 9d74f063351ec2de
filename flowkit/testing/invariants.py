"""What every session promises. Each promise is a function that checks the record of one session and raises ``Broken``.

    evidence = Evidence(plan)
    heap_session(plan, evidence)
    check(evidence)

The functions use only what is visible from outside (rows, actions, effects, audio), not the code that has to keep the
promise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from flowkit.chunker import Chunk, Reason
from flowkit.engine import CallCancelled, Fate, Row
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    EndOfReply,
    EndOfUtterance,
    Frames,
    Interrupt,
    Message,
    Play,
    Revoke,
    Token,
    Utterance,
)
from flowkit.providers.sound.timeline import Pop
from flowkit.stages.base import Cancel, Emit, Open
from flowkit.stages.turn import Turn
from flowkit.stages.unspoken import SpokenText
from flowkit.testing.evidence import Evidence, Step

_US = 1_000_000
_CHARS_PER_TOKEN = 12
"""No text has more characters per token of the chunker's estimate, except within one unfinished word."""
_LONGEST_WORD = 80


class Broken(AssertionError):
    """A session did not keep a promise."""


def check(evidence: Evidence) -> None:
    """Check all promises. Raises Broken for the first one that the session did not keep."""
    for promise in PROMISES:
        promise(evidence)


def _hold(kept: bool, what: str) -> None:
    if not kept:
        raise Broken(what)


# -- it ends -----------------------------------------------------------------------------------------------------------


def session_ends(evidence: Evidence) -> None:
    """The session ends by itself. If its input has ended, no turn is open and no message of a reply waits."""
    finished = evidence.engine.finished
    _hold(finished is not None, f"the session still runs at {evidence.engine.now_us} us")
    if finished == "input_ended":
        turn = evidence.engine.state("gate").turn
        _hold(turn is Turn.LISTENING, f"the session ended while it was {turn.value}")
        _hold(evidence.engine.waiting() == 0, "messages of a reply wait at the session's end")


def turns_are_numbered(evidence: Evidence) -> None:
    """Turns are numbered in order; one may be released again after an interrupt. Each release and each interrupt has a
    new epoch."""
    released = [
        (row.epoch, getattr(row.message, "turn", 0))
        for row in evidence.rows
        if _is(row, Utterance) and row.stage == "llm"
    ]
    numbers = [number for _, number in released]
    steps = [after - before for before, after in pairwise([0, *numbers])]
    _hold(set(steps) <= {0, 1} and steps[:1] != [0], f"turns are numbered {numbers}")
    epochs = [row.epoch for row in evidence.rows if row.stage == "llm" and (_is(row, Utterance) or _is(row, Interrupt))]
    _hold(epochs == sorted(set(epochs)), f"releases and interrupts are in epochs {epochs}")


def no_turn_is_lost_in_silence(evidence: Evidence) -> None:
    """After an interrupt a turn is released: the interrupted one again, or the next."""
    if evidence.engine.finished != "input_ended":
        return
    interrupted_us = None
    for row in evidence.rows:
        if row.stage == "llm" and _is(row, Interrupt):
            interrupted_us = row.handled_us
        elif row.stage == "llm" and _is(row, Utterance):
            interrupted_us = None
    _hold(interrupted_us is None, f"no turn follows the interruption at {interrupted_us} us")


def _is(row: Row, kind: type[Message]) -> bool:
    return type(row.message) is kind and row.fate is Fate.HANDLED


# -- bounds ------------------------------------------------------------------------------------------------------------


def bounds_hold(evidence: Evidence) -> None:
    """No edge ever holds more than its bound, according to the queue's own count and to the record."""
    for stage, inbox in evidence.engine.inboxes():
        _hold(inbox.high_water <= inbox.bound.max, f"{inbox.high_water} waited before {stage}, bound {inbox.bound.max}")
    _hold(not evidence.breaches, f"beyond the bound: {evidence.breaches}")


def nothing_is_hoarded(evidence: Evidence) -> None:
    """No stage keeps messages inside that a bound should count.

    The TTS stage has at most one clause, the LLM stage no token, the chunker one unfinished clause, and playback its
    lead and one piece.
    """
    _tts_has_one_clause(evidence)
    _chunker_has_one_clause(evidence)
    _playback_keeps_its_lead(evidence)
    spoken, repeats = SpokenText(), False
    for step in _steps(evidence, "llm"):
        if isinstance(step.message, Utterance):
            repeats = bool(step.message.said)  # words that were heard already are left out
        tokens = sum(isinstance(message, Token) for message in _emitted(step))
        if isinstance(step.message, Token):
            due = int(bool(spoken.feed(step.message.text)) or not step.message.text)
        else:
            due, spoken = int(bool(spoken.end())), SpokenText()
            if tokens > due and any(isinstance(action, Open) for action in step.actions):
                due += 1  # the line break between a reply without words and the next
        kept = tokens != due and not (repeats and tokens <= 1)
        _hold(not kept, f"the LLM stage kept a token at {step.at_us} us")


def _steps(evidence: Evidence, stage: str) -> Iterator[Step]:
    return (step for step in evidence.steps if step.stage == stage)


def _emitted(step: Step) -> Iterator[Message]:
    return (action.message for action in step.actions if isinstance(action, Emit))


def _tts_has_one_clause(evidence: Evidence) -> None:
    inside, revoked_ahead = 0, False
    for step in _steps(evidence, "tts"):
        match step.message:
            case Interrupt():
                inside, revoked_ahead = 0, False
            case Revoke():
                # The clause ends with its call. If it has not come yet, it will not be taken.
                left = any(isinstance(action, Cancel) for action in step.actions)
                inside, revoked_ahead = inside - left, not left
            case Clause() | Token():
                inside += not (revoked_ahead and not step.actions)
                revoked_ahead = False
        inside -= sum(isinstance(message, ClauseEnded) for message in _emitted(step))
        _hold(inside <= 1, f"{inside} clauses inside the TTS stage at {step.at_us} us")
        if isinstance(step.message, EndOfReply):
            _hold(inside == 0, f"a clause was not ended before the reply was, at {step.at_us} us")


def _chunker_has_one_clause(evidence: Evidence) -> None:
    planned = evidence.plan.only("chunker")
    if planned is None or getattr(planned.options, "mode", "") == "reply":
        return
    most = planned.options.max_tokens * _CHARS_PER_TOKEN + _LONGEST_WORD  # type: ignore[attr-defined]
    waiting = 0
    for step in _steps(evidence, "chunker"):
        if isinstance(step.message, (Interrupt, EndOfReply)):
            waiting = 0
        elif isinstance(step.message, Token):
            waiting += len(step.message.text.strip())
        waiting = max(0, waiting - sum(len(m.text) for m in _emitted(step) if isinstance(m, Clause)))
        _hold(waiting <= most, f"{waiting} characters inside the chunker at {step.at_us} us, {most} allowed")


def _playback_keeps_its_lead(evidence: Evidence) -> None:
    """The audio that the stage has taken and the device has not played is at most the lead, one piece and one frame."""
    planned = evidence.plan.only("speaker")
    if planned is None:
        return
    lead_us, taken = planned.options.lead, list(_steps(evidence, "speaker"))  # type: ignore[attr-defined]
    pops, sounded_us, taken_us, longest_us, epoch = iter(evidence.sound()), 0, 0, 0, 0
    rows = {row.n: row.epoch for row in evidence.rows if row.stage == "speaker"}
    pop = next(pops, None)
    for step in taken:
        if rows.get(step.n, epoch) != epoch or isinstance(step.message, Interrupt):
            epoch, taken_us, sounded_us = rows.get(step.n, epoch), 0, 0
        if not isinstance(step.message, Audio):
            continue
        taken_us += _us(step.message.samples, step.message.rate_hz)
        longest_us = max(longest_us, _us(step.message.samples, step.message.rate_hz))
        while pop is not None and (pop.epoch < epoch or (pop.epoch == epoch and pop.t_us < step.at_us)):
            if pop.epoch == epoch:
                part_us = min(_us(pop.samples, pop.rate_hz), step.at_us - pop.t_us)
                sounded_us += part_us
                if part_us < _us(pop.samples, pop.rate_hz):
                    pop = pop_after(pop, part_us)
                    break
            pop = next(pops, None)
        kept_us = taken_us - sounded_us
        most_us = lead_us + longest_us + evidence.plan.frame_us
        _hold(kept_us <= most_us, f"{kept_us} us of audio inside playback at {step.at_us} us, {most_us} allowed")


def pop_after(pop: Pop, us: int) -> Pop:
    """The rest of a pop without its first `us` microseconds."""
    gone = us * pop.rate_hz // _US
    return Pop(pop.t_us + us, pop.epoch, pop.clause, pop.first_sample + gone, pop.samples - gone, pop.rate_hz, b"")


def _us(samples: int, rate_hz: int) -> int:
    return samples * _US // rate_hz


# -- interrupts --------------------------------------------------------------------------------------------------------


def interrupts_leave_nothing(evidence: Evidence) -> None:
    """After an interrupt no message of the old reply waits, and each stage of the reply has the state after a reset."""
    for seen in evidence.interrupts:
        _hold(seen.waiting == 0, f"{seen.waiting} messages wait after the interrupt at {seen.at_us} us")
        _hold(seen.stale == 0, f"{seen.stale} stale messages wait after the interrupt at {seen.at_us} us")
        _hold(not seen.not_reset, f"not reset by the interrupt at {seen.at_us} us: {seen.not_reset}")
    for row in evidence.rows:
        left = row.fate is Fate.STALE and bool(row.cause_stage)
        _hold(not left, f"{row.kind} waited at {row.stage} through an interrupt, until {row.handled_us} us")


def nothing_stale_is_handled(evidence: Evidence) -> None:
    """No stage of the reply handles a message of an older epoch after one of a newer epoch."""
    replying = {stage.id for stage in evidence.plan.stages if stage.cls.replying}
    newest: dict[str, int] = defaultdict(int)
    for row in evidence.rows:
        if row.stage in replying and row.fate is Fate.HANDLED:
            _hold(
                row.epoch >= newest[row.stage],
                f"{row.stage} handled {row.kind} of epoch {row.epoch} at {row.handled_us} us",
            )
            newest[row.stage] = row.epoch


def nothing_stale_sounds(evidence: Evidence) -> None:
    """After an interrupt the device plays no frame of the old reply, except the one that has started."""
    frame_us = evidence.plan.frame_us
    ends = {row.epoch: row.handled_us for row in reversed(evidence.rows) if _is(row, Interrupt)}
    for pop in evidence.sound():
        for epoch, at_us in ends.items():
            last_us = -(-at_us // frame_us) * frame_us
            stale = pop.epoch < epoch and pop.t_us + _us(pop.samples - 1, pop.rate_hz) >= last_us
            _hold(not stale, f"audio of epoch {pop.epoch} at {pop.t_us} us, after the interrupt at {at_us} us")


def cancelled_calls_are_gone(evidence: Evidence) -> None:
    """The task of a cancelled call ends at the instant of the cancel. Checked for live sessions, which have tasks."""
    for at_us, effect in evidence.effects:
        if isinstance(effect, CallCancelled) and evidence.engine.finished != "stopped":
            name = f"{evidence.plan.stages[effect.stage].id} call {effect.call}"
            ended_us = evidence.tasks.get(name, at_us)
            _hold(ended_us == at_us, f"{name}, cancelled at {at_us} us, ended at {ended_us}")


# -- nothing lost, order kept ------------------------------------------------------------------------------------------


def rows_come_first(evidence: Evidence) -> None:
    """A message is in the journal before its stage acts on it."""
    for step in evidence.steps:
        _hold(step.n > 0, f"{step.stage} acted on {step.message} at {step.at_us} us without a row")


def nothing_is_lost(evidence: Evidence) -> None:
    """Each emitted message has a row at each stage that it goes to, or still waits when the session ends."""
    targets = {(edge.source, edge.output): 0 for edge in evidence.plan.edges}
    for edge in evidence.plan.edges:
        targets[edge.source, edge.output] += 1
    sent = Counter[tuple[str, int]]()
    for step in evidence.steps:
        for action in step.actions:
            if isinstance(action, Emit):
                sent[step.stage, step.n] += targets.get((step.stage, action.port), 0)
    came = Counter(row.cause for row in evidence.rows if row.cause_stage and row.lane != "P")
    waiting = Counter((envelope[1], envelope[2]) for envelope in _waiting(evidence))
    for cause, count in sent.items():
        if cause[1]:
            found = came[cause] + waiting[cause]
            _hold(found == count, f"row {cause[1]} of {cause[0]} sent {count} messages, {found} are accounted for")


def _waiting(evidence: Evidence) -> Iterator[tuple[object, ...]]:
    for slot in evidence.engine._slots:
        yield from slot.control
        yield from (envelope for _, envelope in slot.outbox)
        for inbox in slot.inboxes:
            yield from inbox.queue


def markers_are_kept(evidence: Evidence) -> None:
    """A queue drops only content, never a marker."""
    for row in evidence.rows:
        overflow = row.handled_us == evidence.engine.now_us and "set to error" in (evidence.engine.finished or "")
        kept = row.fate is not Fate.DROPPED or type(row.message).lossy or overflow
        _hold(kept, f"{row.kind} dropped before {row.stage}")


def order_is_kept(evidence: Evidence) -> None:
    """Data from one stage to another is handled in the order in which it was sent, and time never runs backwards."""
    newest: dict[tuple[str, str], tuple[int, int]] = {}
    now_us = 0
    for row in evidence.rows:
        _hold(now_us <= row.handled_us and row.sent_us <= row.handled_us, f"{row.stage} {row.n} runs back in time")
        now_us = row.handled_us
        if row.lane == "D" and row.cause_stage and row.fate is Fate.HANDLED:
            edge, place = (row.cause_stage, row.stage), (row.cause_n, getattr(row.message, "index", -1))
            before = newest.get(edge, (0, -1))
            overtaken = place[0] < before[0] or (place[0] == before[0] and -1 < place[1] < before[1])
            _hold(not overtaken, f"{row.stage} handled {row.kind} {place} after {before} of {row.cause_stage}")
            newest[edge] = place


def ends_come_last(evidence: Evidence) -> None:
    """No end marker overtakes the content before it."""
    over: set[tuple[object, ...]] = set()
    open_: set[tuple[object, ...]] = set()
    voiced = -1
    for row in evidence.rows:
        message, stage = row.message, row.stage
        if row.fate is not Fate.HANDLED:
            continue
        if isinstance(message, EndOfReply):
            over.add((stage, row.epoch))
            early = [clause for place, epoch, clause in open_ if (place, epoch) == (stage, row.epoch)]
            _hold(
                not early,
                f"the end of the reply reached {stage} at {row.handled_us} us, before the end of clauses {early}",
            )
        elif isinstance(message, ClauseStarted):
            open_.add((stage, row.epoch, message.clause))
        elif isinstance(message, ClauseEnded):
            open_.discard((stage, row.epoch, message.clause))
            over.add((stage, row.epoch, message.clause))
        elif isinstance(message, EndOfUtterance) and stage == "asr":
            voiced = message.last_voiced
        elif isinstance(message, Frames) and stage == "asr":
            _hold(message.index > voiced, f"frame {message.index} reached the asr after the end of its utterance")
        elif isinstance(message, (Token, Clause, Audio)) and row.cause_stage:
            _hold(
                (stage, row.epoch) not in over, f"{row.kind} at {stage} after the end of its reply, {row.handled_us} us"
            )
            clause = getattr(message, "clause", None)
            _hold((stage, row.epoch, clause) not in over, f"audio of clause {clause} at {stage} after its end")


def clauses_hold_the_reply(evidence: Evidence) -> None:
    """The clauses of a reply that was not interrupted contain all of its text, in order."""
    text, cut = "", ""
    for step in _steps(evidence, "chunker"):
        if isinstance(step.message, Interrupt):
            text = cut = ""
        elif isinstance(step.message, Token):
            text += step.message.text
        cut += "".join(m.text for m in _emitted(step) if isinstance(m, Clause) and not getattr(m, "provisional", False))
        if isinstance(step.message, EndOfReply) and not _speculates(evidence):
            _hold("".join(text.split()) == "".join(cut.split()), f"of {text!r} the clauses contain {cut!r}")
            text = cut = ""


def _speculates(evidence: Evidence) -> bool:
    planned = evidence.plan.only("chunker")
    return planned is not None and bool(getattr(planned.options, "speculate_end", False))


# -- audio and history -------------------------------------------------------------------------------------------------


def sound_is_whole(evidence: Evidence) -> None:
    """Each sample of each clause is played once, in order and on time, unless a queue dropped audio."""
    _hold(not evidence.late, f"sent to the device too late: {evidence.late[:1]}")
    dropped = {row.epoch for row in evidence.rows if row.fate is Fate.DROPPED and isinstance(row.message, Audio)}
    place: dict[int, tuple[int, int]] = {}
    for pop in evidence.sound():
        clause, sample = place.get(pop.epoch, (-1, 0))
        expected = sample if pop.clause == clause else 0
        _hold(pop.clause >= clause, f"clause {pop.clause} is played after clause {clause}")
        if pop.epoch not in dropped:
            _hold(
                pop.first_sample == expected,
                f"sample {pop.first_sample} of clause {pop.clause} is played, {expected} expected",
            )
        place[pop.epoch] = (pop.clause, pop.first_sample + pop.samples)


def sound_is_on_time(evidence: Evidence) -> None:
    """Without a hold or a wait for audio, a reply's sound is one piece: each Play begins where the one before ends, to
    the microsecond, however many there are."""
    played: list[Play] = []
    for _, effect in evidence.effects:
        item = getattr(effect, "item", None)
        if isinstance(item, Play):
            played.append(item)
    start_us = samples = 0
    for before, play in zip([None, *played], played, strict=False):
        end_us = start_us + (samples * _US // before.rate_hz if before else 0)
        gap_us = play.at_us - end_us
        if (
            before is None
            or play.epoch != before.epoch
            or gap_us > 0
            or play.at_us % evidence.plan.frame_us == 0 != gap_us
        ):
            start_us, samples = play.at_us, 0
        else:
            _hold(gap_us == 0, f"a piece is due at {play.at_us} us, {-gap_us} us before the previous one ends")
        samples += play.samples


def history_is_what_was_heard(evidence: Evidence) -> None:
    """The LLM's history contains what was heard: the text of the clauses up to the share of their samples that was
    played.

    It is not checked if a queue dropped messages, or if the length of a clause is unknown.
    """
    rows = evidence.rows
    dropped = {row.epoch for row in rows if row.fate is Fate.DROPPED}
    texts = {(r.epoch, r.message.index): _chunk(r.message) for r in rows if isinstance(r.message, Clause)}
    totals = {(r.epoch, r.message.clause): r.message.total for r in rows if isinstance(r.message, Audio)}
    played: dict[tuple[int, int], int] = {}
    for pop in evidence.sound():
        played[pop.epoch, pop.clause] = pop.first_sample + pop.samples
    asked = [(row.epoch, row.message) for row in rows if _is(row, Utterance) and row.stage == "llm"]
    for (epoch, before), (_, after) in pairwise(asked):
        if epoch in dropped or any(e == epoch and not total for (e, _), total in totals.items()):
            continue
        heard = ""
        for (_, clause), samples in sorted((key, n) for key, n in played.items() if key[0] == epoch):
            heard += texts[epoch, clause].heard(samples / totals[epoch, clause])
        silent = any(not chunk.spoken for (e, _), chunk in texts.items() if e == epoch)
        assert isinstance(before, Utterance)
        assert isinstance(after, Utterance)
        # If a reply continues after an interrupt without words, what was heard before belongs to it too.
        heard = " ".join(f"{before.said} {heard}".split())
        said = " ".join((after.said if after.turn == before.turn else after.heard).split())
        if not silent:
            _hold(said == heard, f"{heard!r} was heard in epoch {epoch}, the history has {said!r}")


def _chunk(clause: Clause) -> Chunk:
    return Chunk(clause.text, clause.spoken, clause.tokens, Reason(clause.reason), clause.marks)


PROMISES: tuple[Callable[[Evidence], None], ...] = (
    session_ends,
    turns_are_numbered,
    no_turn_is_lost_in_silence,
    bounds_hold,
    nothing_is_hoarded,
    interrupts_leave_nothing,
    nothing_stale_is_handled,
    nothing_stale_sounds,
    cancelled_calls_are_gone,
    rows_come_first,
    nothing_is_lost,
    markers_are_kept,
    order_is_kept,
    ends_come_last,
    clauses_hold_the_reply,
    sound_is_whole,
    sound_is_on_time,
    history_is_what_was_heard,
)
