"""Scores interrupts with hotato's engine, in an environment that has it: ``hotato_scores.py CALL.wav ONSET_S...``. Prints JSON."""

import json
import sys

from hotato._engine import read_wav
from hotato._engine.score import score_stereo

signal = read_wav(sys.argv[1])
found = [score_stereo(signal, 0, 1, caller_onset_sec=float(onset)) for onset in sys.argv[2:]]
print(json.dumps([[one.agent_talking_at_onset, one.did_yield, one.time_to_yield_sec] for one in found]))
