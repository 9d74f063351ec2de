"""Cartesia: `tts` is its streaming voice, `context` speaks one reply over the connection."""
