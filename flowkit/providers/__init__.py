"""Who does the work outside. Read `base` first, then `registry` (how a provider is found), then any one of them.

Ears: `wav`, `memory` (sources; they share `capture`), `silero`, `webrtcvad`, `moonshine` (its bookkeeping is
`utterances`). Brains: `llamacpp`, `canned`. Mouths: `piper`, `nanotts` (worker processes: `worker` is the parent's
side, `worker_child` the child's, `wire` what they say to each other), `printing`. Ends: the sinks in `wav` and
`memory`, on one `timeline`. `weights` names the bundled models and their digests; `loading` tells people what is being
loaded.
"""
