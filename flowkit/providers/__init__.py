"""Providers: models, services and devices that do a stage's work.

Read `base` first (the interface), then `registry` (how a provider is found by name), then any one of these:

- `assemblyai`, `cartesia`, `groq`, `openai_compatible`: cloud services. `cloud` holds the code that they share.
- `silero`, `webrtcvad`, `moonshine`, `llamacpp`, `piper`, `nanotts`: models on this machine. `weights` lists the
  bundled models with their digests, `loading` reports progress while a model loads, `onnx` opens one in this process, `worker`
  runs a TTS in a separate process.
- `sound`: microphones and speakers, on devices, WAV files or memory.
- `turn_words`, `turn_sound`, `turn_smart`: they predict whether a turn is over. `tools`: they run tools.
- `canned`, `printing`, `typed`, `scripted`: providers without a model.

What these share: `inline` (answers without I/O), `segments` (an ASR that decodes whole utterances), `models` and `waitlist` (one
model for many sessions), `answers` (which message answers which), `plain` (what a TTS cannot speak), `process` (a child process).
"""
