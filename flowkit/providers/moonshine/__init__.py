"""Moonshine: `asr` is the provider, `model` what it shares with other sessions, `utterances` decides what it decodes next."""
