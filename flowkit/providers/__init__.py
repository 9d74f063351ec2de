"""Providers: models, services and devices that do a stage's work.

Read `base` first (the interface), then `registry` (how a provider is found by name), then any one of these:

- `assemblyai`, `cartesia`, `groq`, `openai_compatible`: cloud services. `cloud` holds the code that they share.
- `silero`, `webrtcvad`, `moonshine`, `llamacpp`, `piper`, `nanotts`: models on this machine. `weights` lists the
  bundled models with their digests, `loading` reports progress while a model loads, `worker` runs a TTS in a separate
  process.
- `sound`: microphones and speakers, on devices, WAV files or memory.
- `canned`, `printing`, `typed`, `scripted`: providers without a model.
"""
