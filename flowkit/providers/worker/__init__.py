"""Runs a TTS in a worker process: `parent` is this process's side, `child` the worker's side, `wire` the protocol."""
