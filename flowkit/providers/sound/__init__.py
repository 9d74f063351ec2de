"""Microphones and speakers. Sources: `wav`, `memory` (they share `capture`), `device`; ends: the sinks in `wav` and `memory`, on
one `timeline`, and `device`. A device is opened by `device_host`; `echo` takes the agent's own voice out of the microphone.
"""
