"""What the keys of end-of-turn prediction change: in a conversation whose predictor is not always certain."""

from __future__ import annotations

from functools import cache
from typing import Any

from flowkit.config import load
from flowkit.errors import FlowkitError
from flowkit.messages import (
    Acted,
    EndOfUtterance,
    Final,
    Message,
    Partial,
    PlaybackStarted,
    Predict,
    SpeechLasted,
    SpeechStarted,
    Timer,
    TurnSoFar,
)
from flowkit.plan.resolve import draw, resolve
from flowkit.providers.onnx import session_options
from flowkit.providers.turn_words import TurnWords
from flowkit.stages.gate import Gate
from flowkit.stages.interrupting import State
from flowkit.testing.sessions import heap_session
from tests.config.experiments import BASE, Experiment, planned

SMART = "{kind: turn, provider: smart_turn}"
TURNED = (
    BASE.replace("provider: scripted}\n  - {kind: asr", "provider: scripted, end: {}}\n  - {kind: asr", 1)
    .replace(
        "  - {kind: gate}",
        "  - {kind: turn, provider: scripted, likelihood: [0.9, 0.9, 0.9, 0.5, 0.1]}\n  - {kind: gate}",
    )
    .replace("{at: 3s, lasts: 700ms}", "{at: 3s, lasts: 700ms}, {at: 7s, lasts: 300ms}")
    .replace("length: 6s", "length: 9s")
)
"""One utterance is taken to be complete, and one incomplete; of one it is not certain."""


def ended(*settings: str) -> Any:
    """Every row of the conversation, and how it ended."""
    try:
        plan = resolve(load("turned.yaml", text=TURNED, overrides=settings))
    except FlowkitError as error:
        return str(error)
    engine = heap_session(plan, limit_us=30_000_000)
    return [row.plain() for row in engine.journal], engine.finished


def drawn(*settings: str) -> Any:
    """The edges, their bounds and the stages' providers."""
    plan = draw(load("turned.yaml", text=TURNED, overrides=settings)).plan
    return plan.edges, [(stage.id, stage.provider.name if stage.provider else "") for stage in plan.stages]


def judged(*settings: str) -> Any:
    """What `words` says about a sentence that is open in German alone."""
    options = TurnWords.Options.model_validate(
        dict(setting.removeprefix("stages.turn.").split("=") for setting in settings)
    )
    call = TurnWords(options, None).open(Predict())  # type: ignore[arg-type]
    return list(call.fed(TurnSoFar("I am weil")))


@cache
def spoken_over(state: State) -> Experiment:
    """What the gate does about a voice that is heard while the agent is in a state."""

    def seen(*settings: str) -> Any:
        greeting = ("greeting.text=Hello.",) if state is State.GREETING else ()
        options = planned((*settings, *greeting)).stage("gate").options
        gate = Gate(options)
        now, told = gate.fresh(), []
        for message in (*_INTO[state], *_VOICE):
            told.append(list(gate.step(now, message, 1_000_000)))
        return told

    return seen


_ASKED = (SpeechStarted(0), EndOfUtterance(1, 5), Final("What is it?", 1))
_INTO: dict[State, tuple[Message, ...]] = {
    State.GREETING: (Timer("greeting"), PlaybackStarted(0, 0)),
    State.THINKING: _ASKED,
    State.TOOL: (*_ASKED, Acted()),
    State.SPEAKING: (*_ASKED, PlaybackStarted(0, 0)),
}
_VOICE = (
    SpeechStarted(50),
    SpeechLasted(60),
    SpeechLasted(70, 300_000),
    Partial("and now", 90),
    SpeechLasted(120, 1_200_000),
)


def threads(*settings: str) -> Any:
    """What ONNX Runtime is asked for when the model is loaded."""
    text = TURNED.replace("{kind: turn, provider: scripted, likelihood: [0.9, 0.9, 0.9, 0.5, 0.1]}", SMART)
    stage = draw(load("smart.yaml", text=text, overrides=settings), installed=False).plan.stage("turn")
    assert stage.provider is not None
    return session_options(stage.provider.options.threads).intra_op_num_threads
