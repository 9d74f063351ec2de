"""The decisions, as pure reducers, in the order in which a microphone frame meets them:

source, endpointing, transcription, gate (with the turn table in ``turn``), llm, chunking, tts, playback.
"""
