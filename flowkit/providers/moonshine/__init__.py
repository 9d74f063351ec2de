"""Moonshine: `asr` is the model, `utterances` decides what it decodes next."""
