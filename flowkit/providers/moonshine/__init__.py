"""The Moonshine ASR. Read ``asr`` first, then ``model``."""

"""The Moonshine ASR. Read ``asr`` first, then ``model``."""
