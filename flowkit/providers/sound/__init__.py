"""Microphones and speakers.

- `wav` and `memory` each have a source and a sink. The sources share `capture`; the sinks share `sink` and `timeline`.
- `device` is the machine's microphone and speaker. `device_host` opens them through PortAudio, `device_ring` connects
  their callbacks with the event loop, and `device_cutter` and `device_feed` convert formats.
- `echo` removes the agent's own voice from the microphone, and detects it.
"""
