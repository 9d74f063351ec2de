"""The decisions, as pure reducers, in the order in which a microphone frame meets them:

source, endpointing, transcription, predicting, gate (with the turn table in ``turn``), llm (with ``past``), chunking, tts or
narration, playback. ``tools`` answers what the llm calls.
"""
