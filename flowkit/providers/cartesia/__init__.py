"""Cartesia's streaming TTS: `tts` is the provider, `context` speaks one reply over its connection."""
