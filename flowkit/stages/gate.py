"""The gate: releases utterances, suspects and confirms interruptions, keeps what was heard. Only the gate raises the
epoch.

``turn.TABLE`` decides whose turn it is. This stage turns messages into the table's events and its outcomes into
actions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import (
    Acted,
    Attend,
    Capture,
    Done,
    EndOfUtterance,
    EndSession,
    Failed,
    Fault,
    Final,
    Forget,
    Heard,
    HeardUntil,
    Hold,
    InputEnded,
    Interrupt,
    Keys,
    Message,
    Partial,
    PlaybackStarted,
    Prediction,
    Released,
    ReplyPlayed,
    Respond,
    Resume,
    Shutdown,
    SpeechLasted,
    SpeechStarted,
    SpeechStopped,
    StopReply,
    Timer,
    Typed,
    Utterance,
)
from flowkit.stages.base import NOTHING, Action, Actions, Emit, Finish, Open, RaiseEpoch, SetTimer, Stage, gone
from flowkit.stages.gate_options import Greeting, Idle, Release, Typing
from flowkit.stages.gate_state import (
    IDLE,
    GateState,
    address,
    await_user,
    doing,
    given_up,
    hear_client,
    if_ended,
    joined,
    may_be_interrupted,
    with_words,
    without_words,
)
from flowkit.stages.interrupting import (
    Backchannel,
    Interrupting,
    Suspicion,
    VoteRules,
    is_question,
    rules_of,
)
from flowkit.stages.preempting import EarlyAsk, Preempt
from flowkit.stages.turn import Do, Event, Turn, turn_step
from flowkit.words import has_words

_FINAL, _RELEASE, _RESUME, _DRAFT = "final", "release", "resume_after", "draft"
_GREETING, _LIMIT = "greeting", "limit"
AGENT_ENDED, USERIDLE, SESSION_LIMIT = "agent_ended", "user_idle", "session_limit"
"""Reasons for which a session ends by itself."""
_SETTLING = frozenset({Event.CONFIRM, Event.FINAL, Event.EMPTY, Event.CANCEL, Event.PLAYED, Event.PAUSE})
"""Events after which a voice is no longer suspected of interrupting."""
_HEARING = (Turn.HEARING, Turn.CONCLUDING)
# A hold that nothing has confirmed in time ends like one whose voice has paused: the reply resumes.
_EVENT_OF_TIMER = {_RELEASE: Event.RELEASE, _RESUME: Event.PAUSE}


class Gate(Stage[GateState]):
    """Partial transcripts stop here. A final one passes when its utterance has ended."""

    kind = "gate"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {
        "speech": ("speech",),
        "endpoint": ("endpoint",),
        "transcript": ("transcript",),
        "progress": ("progress",),
        "prediction": ("prediction",),
    }
    outputs: ClassVar[dict[str, str]] = {"utterance": "utterance", "turn": "turn", "hold": "hold"}
    call_keys: ClassVar[frozenset[str]] = frozenset()
    """A person at a keyboard has no deadline."""

    class Options(Interrupting):
        release: Release = Release.END_OF_UTTERANCE
        """`end_of_utterance`: the VAD decides; `asr_final`: trust the ASR's own finals, without a VAD."""
        typing: Typing = Typing.NONE
        """`none`, `interrupts` or `waits`: set by `run --text`."""
        final_timeout: opt.Duration = opt.us("5s")
        """How long to wait for the final transcript after an end of utterance, before giving up the turn."""
        join_words: int = Field(200, ge=0)
        """How many words of questions interrupted before any answer are asked again with the next one; the newest count."""
        preempt: Preempt | None = None
        """When the model is asked before the user's turn is over. By default as the LLM's `preempt` says."""

        greeting: Greeting | None = None
        """What the agent says when the session begins."""
        idle: Idle | None = None
        """What the agent does when nobody says anything."""
        session: opt.Duration | None = None
        """How long a session may last."""

    options: Options
    _without_typing = frozenset(inputs)

    def __init__(self, options: Options, frame_us: int = 20_000) -> None:
        super().__init__(options, frame_us)
        self._rules = rules_of(options)

    def fresh(self) -> GateState:
        return GateState()

    def reset(self, state: GateState) -> GateState:
        return state

    def begin(self, state: GateState) -> Actions:
        options = self.options
        opened = [] if options.typing is Typing.NONE else [Open(Capture())]
        # The greeting is an event like any other, so that it has a row that causes it.
        greets = [SetTimer(0, _GREETING)] if options.greeting is not None else await_user(state, self.options.idle, 0)
        return [*opened, *greets, *([SetTimer(options.session, _LIMIT)] if options.session is not None else [])]

    def accepts(self, state: GateState) -> frozenset[str]:
        # The next line of a script must not interrupt the reply to the last one.
        waits = self.options.typing is Typing.WAITS and state.turn is not Turn.LISTENING
        return self._without_typing if waits else self.everything

    def step(self, state: GateState, message: Message, now_us: int) -> Actions:
        if isinstance(message, Heard):
            state.question.heard.append(message.text)
            state.ignored = state.ignored if is_question(message.text) else ""
            return NOTHING
        if isinstance(message, Partial):
            return [*self._partial(state, message, now_us), *self._drafted(state, message, now_us)]
        if isinstance(message, Prediction) or message == Timer(_DRAFT):
            return self._drafted(state, message, now_us)
        # Without one of these nothing is heard or nothing sounds. A failure in the reply costs only its turn.
        if isinstance(message, Fault):
            ends = message.stage in ("asr", "vad", "mic", "speaker")
            # An answer that failed before its time is asked for again in time.
            return (Finish(f"failed: {message.what}"),) if ends else self._give_up(state)
        if isinstance(message, Shutdown):
            return self._shutdown(message)
        if isinstance(message, Acted):
            state.question.acted = True
            return NOTHING
        if isinstance(message, (Attend, Forget, HeardUntil)) or (isinstance(message, Typed) and message.waits):
            return hear_client(state, message)
        if isinstance(message, EndSession):
            state.ending = True
            return NOTHING if message.after_playout else self._shutdown(Shutdown(AGENT_ENDED))
        if message == Timer(_LIMIT):
            return self._shutdown(Shutdown(SESSION_LIMIT))
        if message == Timer(IDLE) and given_up(state, self.options.idle):
            return (Finish(USERIDLE),)
        if isinstance(message, (Failed, Done)):
            # A script's input ends and then its call does. A keyboard that is gone before is a failure.
            over = state.input_ended and isinstance(message, Done)
            return NOTHING if over else (Finish(f"failed: {gone(message, 'keyboard')}"),)
        was, event = state.turn, self._event(state, message, now_us)
        suspicion = state.suspicion
        actions = [] if event is None else self._turn(state, event, now_us)
        decided = event is Event.CONFIRM or (event is Event.CANCEL and was is Turn.HELD)
        if decided and suspicion is not None and state.utterances > suspicion.after:
            actions += self._turn(state, Event.ENDED, now_us)  # its utterance has ended meanwhile, for its length
        if event is Event.PLAYED:
            # An answer to the agent's question that came a little early is no backchannel.
            state.kept, state.ignored = state.kept or state.ignored, ""
        # What was said while the agent could not be interrupted, or the reply for which a client waits.
        spoken = event is Event.PLAYED and state.kept and state.attend.answers
        if state.turn is Turn.LISTENING and (spoken or state.asked is not None):
            actions += self._turn(state, Event.FINAL, now_us)
        # Only now, so that a reply that is under way is still played to its end.
        if state.turn is Turn.LISTENING and state.input_ended and state.utterances > state.transcribed:
            actions += self._turn(state, Event.OWED, now_us)
        elif state.turn is Turn.LISTENING and (state.input_ended or state.ending):
            actions = [*actions, Finish("input_ended" if state.input_ended else AGENT_ENDED)]
        return actions

    def _event(self, state: GateState, message: Message, now_us: int) -> Event | None:
        """The event of the table that a message means, if any."""
        match message:
            case SpeechStarted():
                return self._started(state, message)
            case SpeechLasted(lasted_us=lasted_us):
                return self._lasted(state, lasted_us)
            case SpeechStopped(last_voiced=last_voiced):
                return self._pause(state, last_voiced)
            case EndOfUtterance(utterance=utterance, dropped=dropped):
                state.utterances = utterance
                if dropped:
                    state.withdrawn = state.transcribed = utterance
                return Event.ENDED
            case Respond():
                state.asked = message
                return None
            case StopReply():
                state.asked = None
                return Event.CANCEL
            case Final(utterance=utterance):
                state.transcribed = max(state.transcribed, utterance)
                return self._final(state, message)
            case Typed(text=text) | Keys(text=text):
                state.kept = joined(state.kept, text)
                return None if self._deaf(state) else Event.FINAL
            case PlaybackStarted():
                return Event.AUDIBLE
            case ReplyPlayed():
                return Event.PLAYED
            case InputEnded():
                state.input_ended = True
                return None
            case Timer(tag=tag) if tag in (_GREETING, IDLE):
                return Event.ADDRESS
            case Timer(tag=tag) if tag == _FINAL:
                state.transcribed = state.utterances
                # Words of an earlier part are an utterance, even if those of the last part never came.
                return with_words(state) if state.kept else without_words(state, Event.LOST)
            case Timer(tag=tag):
                return _EVENT_OF_TIMER[tag]
        return None

    def _started(self, state: GateState, started: SpeechStarted) -> Event | None:
        # A voice that goes on after a cut for length would interrupt every answer. Its words may.
        if started.goes_on or self._deaf(state) or not state.attend.detects:
            return None
        if state.turn is Turn.HELD and state.suspicion is not None:
            state.suspicion.paused = None
        if state.withdrawn > state.utterances:
            state.withdrawn = 0  # the voice is back in the same utterance, which is judged again
        if state.turn not in (Turn.THINKING, Turn.SPEAKING):
            return Event.SPEECH
        rules = self._rules[doing(state, self.options.greeting)]
        # After a pause it is the same voice.
        before = state.suspicion is not None and state.suspicion.after == state.utterances and state.suspicion.long
        state.suspicion = Suspicion(rules, state.utterances, started.frame, before)
        return Event.SPEECH if rules.backchannel is Backchannel.HOLD else None

    def _lasted(self, state: GateState, lasted_us: int) -> Event | None:
        """A voice that is long enough interrupts, unless words decide. A voice that is very long always does."""
        suspicion = state.suspicion
        if suspicion is None or not may_be_interrupted(state):
            return None
        rules = suspicion.rules
        asked_us = rules.speech_us
        suspicion.long = suspicion.long or (not lasted_us if asked_us is None else lasted_us >= asked_us)
        if suspicion.long and not self._needs_words(state):
            return Event.CONFIRM
        # A reply that noise has cut off already is cut off by words alone.
        return Event.CONFIRM if lasted_us >= rules.always_us and state.question.asked <= 1 else None

    def _pause(self, state: GateState, last_voiced: int) -> Event | None:
        """A voice that was too short was not an interruption. One that was long enough waits for its words."""
        suspicion = state.suspicion
        if suspicion is None or not may_be_interrupted(state):
            return Event.PAUSE
        if suspicion.long:
            suspicion.paused = last_voiced
            return None
        state.withdrawn = suspicion.after + 1
        return Event.PAUSE

    def _final(self, state: GateState, final: Final) -> Event | None:
        """Words of a withdrawn interruption do not count, nor do words that never interrupt while the agent has the
        turn. Of a suspected interruption, the words before it tell nothing."""
        replying = state.turn in (Turn.THINKING, Turn.SPEAKING, Turn.HELD)
        interrupts = replying and state.attend.interrupts
        said = final.text.strip() if has_words(final.text) and final.utterance != state.withdrawn else ""
        unwanted = interrupts and not self._deciding(state).count(said)
        # Kept even so: the agent may be about to ask what this answers.
        state.ignored = joined(state.ignored, said) if unwanted else ""
        state.kept = joined(state.kept, "" if unwanted else said)
        if state.kept:
            return None if self._deaf(state) else with_words(state)
        # This is about an utterance before the voice that is suspected, and says nothing about that.
        if state.suspicion is not None and final.utterance <= state.suspicion.after:
            return None
        return without_words(state, Event.EMPTY)

    def _deciding(self, state: GateState) -> VoteRules:
        """The rules for what is said now."""
        return state.suspicion.rules if state.suspicion else self._rules[doing(state, self.options.greeting)]

    def _deaf(self, state: GateState) -> bool:
        """Whether the agent says something that may not be interrupted."""
        if not state.attend.interrupts and state.turn in (Turn.THINKING, Turn.SPEAKING):
            return True
        greeting = self.options.greeting
        # A greeting is always the first turn.
        greets = greeting is not None and not greeting.interruptible and state.question.number == 1
        return greets and state.turn in (Turn.THINKING, Turn.SPEAKING)

    def _partial(self, state: GateState, partial: Partial, now_us: int) -> Actions:
        """A partial never starts a reply. It may confirm an interruption that waits for words. After the end of its
        utterance it cannot, because the final transcript decides."""
        suspicion = state.suspicion
        if (
            suspicion is None
            or not suspicion.long
            or not may_be_interrupted(state)
            or state.utterances != suspicion.after
        ):
            return NOTHING
        interrupts = suspicion.judged(partial, self.frame_us) if self._needs_words(state) else None
        if interrupts is None:
            return NOTHING
        return self._turn(state, Event.CONFIRM if interrupts else Event.PAUSE, now_us)

    def _needs_words(self, state: GateState) -> bool:
        """Whether a voice alone interrupts nothing: so declared, or because one has cut this reply off for nothing already."""
        return self._deciding(state).by_words or state.question.asked > 1

    def _turn(self, state: GateState, event: Event, now_us: int) -> list[Action]:
        was, (state.turn, do) = state.turn, turn_step(state.turn, event)
        settled = was is Turn.HELD and state.turn is not Turn.HELD
        if settled or event in _SETTLING:
            state.suspicion = None
        # The hold is decided. Its timer would otherwise end the next one.
        timers: list[Action] = [SetTimer(None, _RESUME)] if settled else []
        # Otherwise it would report a lost transcript in a state that awaits none, for which the table has no row.
        if was is Turn.CONCLUDING and state.turn is not Turn.CONCLUDING:
            timers.append(SetTimer(None, _FINAL))
        # The agent may speak up only while nobody has the turn.
        if was is Turn.LISTENING and state.turn is not Turn.LISTENING:
            timers.append(SetTimer(None, IDLE))
        elif was is not state.turn is Turn.LISTENING:
            timers += await_user(state, self.options.idle, now_us)
        if was is Turn.LISTENING:
            state.draft = EarlyAsk()
        left = [] if state.turn in _HEARING or do is Do.RELEASE else self._give_up(state)
        return [*timers, *left, *self._do(state, do, now_us)]

    def _do(self, state: GateState, do: Do, now_us: int) -> list[Action]:
        match do:
            case Do.AWAIT_FINAL:
                return [SetTimer(now_us + self.options.final_timeout, _FINAL)]
            case Do.RELEASE:
                # The user spoke again, so the count begins again, and the session no longer ends.
                state.nudged, state.ending = 0, False
                return self._release(state)
            case Do.ADDRESS:
                return self._ask(state.question.address(address(state, self.options.greeting, self.options.idle)))
            case Do.ANSWER_AGAIN:
                return self._ask(state.question.again())
            case Do.COMPLETE:
                state.question.cut_off = False
            case Do.HOLD:
                return [Emit("hold", Hold()), SetTimer(now_us + self._deciding(state).resume_us, _RESUME)]
            case Do.RESUME | Do.COMPLETE_HELD:
                return [Emit("hold", Resume())]
            case Do.INTERRUPT:
                return self._interrupt(state)
            case Do.CANCEL:
                actions = self._interrupt(state)
                state.question.cut_off, state.question.cancelled = False, True
                return actions
            case Do.INTERRUPT_THEN_RELEASE:
                # What was heard comes back within this instant, in the control lane. Then the utterance can carry it.
                return [*self._interrupt(state), SetTimer(now_us, _RELEASE)]
        return []

    def _interrupt(self, state: GateState) -> list[Action]:
        state.withdrawn, state.question.cut_off, state.ending = 0, True, False
        # The epoch first: the interrupt is then the first message of the new one, and all that is older becomes stale.
        return [RaiseEpoch(state.question.number), Emit("turn", Interrupt())]

    def _ask(self, utterance: Utterance) -> list[Action]:
        # The epoch first, so that the utterance carries it to the replying stages.
        return [RaiseEpoch(utterance.turn), Emit("utterance", utterance)]

    def _shutdown(self, message: Shutdown) -> Actions:
        return (Emit("turn", Interrupt()), Finish(message.reason))

    # -- before the turn is over ------------------------------------------------------------------------------------

    def _drafted(self, state: GateState, message: Message, now_us: int) -> list[Action]:
        """A transcript, a prediction, or the time for which both have stayed the same."""
        wish, draft = self.options.preempt, state.draft
        if wish is None or state.turn not in _HEARING or not state.attend.answers:
            return []
        if isinstance(message, Timer):
            return self._ask_early(state) if draft.asked is None and draft.tries < wish.max_tries else []
        ended = draft.ends(wish)
        other = isinstance(message, Partial) and draft.heard(message)
        if isinstance(message, Prediction):
            draft.predicted(message)
        left = self._give_up(state) if other else []
        if ended and not other and draft.ends(wish):
            return left  # nothing has changed, so the time goes on
        return [*left, SetTimer(now_us + wish.stable_for if draft.ends(wish) else None, _DRAFT)]

    def _ask_early(self, state: GateState) -> list[Action]:
        asking = self._question(if_ended(state))
        state.draft.asked, state.draft.tries = asking, state.draft.tries + 1
        return [RaiseEpoch(asking.turn), Emit("hold", Hold()), Emit("utterance", replace(asking, early=True))]

    def _release(self, state: GateState) -> list[Action]:
        """The turn is over. What was asked early is released if it is what is asked now."""
        asking, draft = self._question(state), state.draft
        left = [] if draft.asked == asking else self._give_up(state)
        state.draft = EarlyAsk()
        still: list[Action] = [SetTimer(None, _DRAFT)] if self.options.preempt is not None else []
        if draft.asked is not None:
            return [*still, Emit("turn", Released()), Emit("hold", Resume())]
        return [*still, *left, *self._ask(asking)]

    def _give_up(self, state: GateState) -> list[Action]:
        """What was asked early is not what is asked."""
        if state.draft.asked is None:
            return []
        state.draft.asked = None
        return [RaiseEpoch(state.question.number), Emit("turn", Interrupt(early=True))]

    def _question(self, state: GateState) -> Utterance:
        """What is answered next: what was said and written, or else what a client asks aside."""
        asked, state.asked = state.asked, None
        if asked is not None and asked.farewell:
            state.ending, state.noted, state.kept = True, "", ""
            return state.question.address(asked.farewell)
        if asked is not None and asked.aside:
            asking = state.question.next(asked.text, self.options.join_words)
        else:
            text = joined(state.noted, state.kept)
            state.noted = state.kept = state.ignored = ""
            asking = state.question.next(text, self.options.join_words)
        if asked is None:
            return asking
        own = replace(asking, instructions=asked.instructions, offered=asked.tools, choice=asked.choice)
        return replace(own, aside=asked.aside)
