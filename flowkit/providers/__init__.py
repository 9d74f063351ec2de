"""Who does the work outside. Read `base` first, then `registry` (how a provider is found), then any one of them.

- `assemblyai`, `cartesia`, `groq`, `openai_compatible`: services; `cloud` holds what they share.
- `silero`, `webrtcvad`, `moonshine`, `llamacpp`, `piper`, `nanotts`: models on this machine. `weights` names the bundled ones and
  their digests, `loading` tells people what is being loaded, `worker` runs a voice in a process of its own.
- `sound`: microphones and speakers: devices, WAV files, memory.
- `canned`, `printing`, `typed`, `scripted`: no model at all.
"""
