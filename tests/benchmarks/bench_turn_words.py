"""What ``words`` costs: microseconds of processor time for a partial transcript, in each of its languages.

Each text grows word by word behind a question, as an ASR gives it; the longest has 4,000 characters. Prints JSON, with the time
of a bare loop of three million rounds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit import phrases
from flowkit.messages import Predict, TurnSoFar
from flowkit.providers import turn_words
from flowkit.providers.base import Surroundings
from flowkit.providers.turn_words import TurnWords

BOUND_US = 50.0
REPEATS = 20


def texts(code: str) -> list[str]:
    """Phrases of the language, a word longer each."""
    listed = phrases.load(code)
    said = f"{listed.questions}, {listed.opens}, {listed.answers}".replace(",", "").split()[:60]
    return [" ".join(said[:count]) for count in range(1, len(said) + 1)] + [" ".join(said * 20)[:4000]]


def cost_us(code: str) -> float:
    """The mean over the partial transcripts of a turn, once its tables are loaded; the best of a few turns, because a busy
    machine is only ever slower."""
    around = Surroundings(16_000, 20_000, lambda: 0, lambda *_: None)
    call = TurnWords(TurnWords.Options.model_validate({}), around).open(Predict())
    items = [TurnSoFar(text, "Thank you for waiting. What can I do for you today?") for text in texts(code)]
    took = []
    for _ in range(REPEATS):
        turn_words._piece.cache_clear()
        began = time.process_time_ns()
        for item in items:
            call.fed(item)
        took.append((time.process_time_ns() - began) / len(items) / 1000)
    return round(min(took), 1)


def bare_loop_s() -> float:
    """How long this machine takes for three million rounds."""
    began = time.process_time()
    sum(i for i in range(3_000_000))
    return round(time.process_time() - began, 3)


if __name__ == "__main__":
    costs = {code: cost_us(code) for code in phrases.languages()}
    print(json.dumps({"us_a_partial": costs, "bound_us": BOUND_US, "bare_loop_s": bare_loop_s()}))
