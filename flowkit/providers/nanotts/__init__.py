"""NanoTTS (SVOX Pico): `tts` is the provider, `process` runs in the worker process."""
