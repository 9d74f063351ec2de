"""Moonshine: `asr` is the provider, `model` is the model that sessions share, `utterances` decides what to decode
next."""
