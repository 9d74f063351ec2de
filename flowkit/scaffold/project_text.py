"""The files of a new project, as templates for ``str.format``."""

from __future__ import annotations

_HEAD = """\
# The agent. `flowkit check` finds mistakes, and `flowkit run` runs it.
flowkit: 1
name: {name}
defaults:
  chunker: {{language: {code}}}
stages:
"""
_SYSTEM = '"You are a friendly assistant. Answer in {spoken}, in one or two short sentences."'

PIPELINES = {
    "local": _HEAD
    + """\
  - {{kind: mic}}
  # How long a silence ends your turn depends on what you said, and the model is asked before that.
  - {{kind: vad, provider: silero, end: {{complete: 200ms, unsure: 500ms, incomplete: 1200ms}}}}
  - {{kind: asr, provider: moonshine, ahead: 40ms}}
  - {{kind: turn, provider: words}}
  - {{kind: gate}}
  # SmolLM2-135M is small and knows little. For a model of your own add `model: path.gguf`.
  - {{kind: llm, provider: llamacpp, preempt: {{stable_for: 0ms}}, system: """
    + _SYSTEM
    + """}}
  - {{kind: chunker}}
  - {{kind: tts, provider: piper}}
  - {{kind: speaker}}
""",
    "cloud": _HEAD
    + """\
  - {{kind: mic}}
  # How long a silence ends your turn depends on what you said.
  - {{kind: vad, provider: silero, end: {{complete: 200ms, unsure: 500ms, incomplete: 1200ms}}}}
  # The keys come from the environment: ASSEMBLYAI_API_KEY, GROQ_API_KEY, CARTESIA_API_KEY.
  - {{kind: asr, provider: assemblyai, model: {asr_model}}}
  - {{kind: turn, provider: words}}
  - {{kind: gate}}
  - kind: llm
    provider: groq
    model: llama-3.3-70b-versatile
    system: """
    + _SYSTEM
    + """
    first_token_timeout: 1500ms
    # preempt: {{}} asks before your turn is over: sooner answers, and some that are paid for in vain.
    failover: [{{provider: canned, text: {sorry}}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: cartesia, voice: 6ccbfb76-1fc6-48f7-b71d-91ac6298247b, language: {code}}}
  - {{kind: speaker}}
""",
    "text": _HEAD
    + """\
  - {{kind: gate}}
  # This LLM always says the same. For a real one, replace the line. For example, with Ollama:
  #   {{kind: llm, provider: openai_compatible, base_url: "http://127.0.0.1:11434/v1", model: "qwen3:0.6b",
  #     system: """
    + _SYSTEM
    + """}}
  - {{kind: llm, provider: canned, text: {canned}}}
  - {{kind: chunker}}
  - {{kind: tts, provider: print}}
""",
}

TEST = """\
# A conversation with scripted providers, in virtual time: `flowkit test` needs no model, no device and no key.
# What agent.yaml says outside of its stages, such as `defaults:` or `interrupt:`, holds here too.
flowkit: 1
include: [agent.yaml]
stages:
  - {{kind: mic, provider: scripted, speech: [{{at: 300ms, lasts: 800ms}}]}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: [{question}]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: {reply}}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker, provider: memory}}
tests:
  - name: prices stay whole
    chunker: {{feed: [{answer}, " ", {more}], expect: [{answer}, {more}]}}
  - name: a question is answered in time
    expect:
      - {{turn: 1, what: agent, contains: {price}}}
      - {{turn: 1, what: ttfa, within: 1s}}
  - name: the user can interrupt
    inject:
      - {{speech: 600ms, says: {stop}, answer: "OK.", after: {{turn: 1, event: first_audio, by: 400ms}}}}
    expect:
      - {{turn: 1, what: end_reason, equals: interrupted}}
      - {{what: stale_frames, equals: 0}}
"""

WORKFLOW = """\
name: voice
on: [push, pull_request]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12", cache: pip, cache-dependency-path: agent.yaml}
      # Until flowkit is on the package index, name a wheel here instead.
      - run: pip install flowkit-voice
      - run: flowkit test . --report junit=out/junit.xml --report pages=out/
      - if: always()
        uses: actions/upload-artifact@v4
        with: {name: voice, path: out/}
"""

CORPUS_WORKFLOW = WORKFLOW.replace("cache-dependency-path: agent.yaml", 'cache-dependency-path: "**/*.yaml"').replace(
    "flowkit test . --report", "flowkit test --corpus calls --report"
)
"""The same for recorded calls, which fail only for what is worse than approved."""

IGNORED = """\
.venv/
traces/live/
out/
*.new
"""

START = {
    "local": """\
flowkit setup local           # once: the models, about 320 MB
flowkit run                   # talk to it; with open speakers use a headset
flowkit run --input question.wav --output out/reply.wav --overwrite    # without microphone and speaker
flowkit run --text            # type instead of talking""",
    "cloud": """\
pip install 'flowkit-voice[cloud,devices]'
export ASSEMBLYAI_API_KEY=... GROQ_API_KEY=... CARTESIA_API_KEY=...
flowkit check --live agent.yaml    # asks each service whether it would answer
flowkit run                        # talk to it; with open speakers use a headset""",
    "text": """\
flowkit run                   # type a line, and read the answer clause by clause""",
}

README = """\
# {name}

A voice agent, described in `agent.yaml` and run by flowkit.

```
{start}
```

| to do | command |
|---|---|
| find mistakes in `agent.yaml` | `flowkit check agent.yaml` |
| run the tests, as CI does | `flowkit test .` |
| look at a session | `flowkit report traces/live/NAME.jsonl -o out/report.html` |
| see what a change does to a recorded session | `flowkit replay traces/live/NAME.jsonl --pipeline agent.yaml` |
| make a recorded session a test | move it to `traces/`, then `flowkit approve traces/NAME.jsonl --pipeline agent.yaml` |

Each run records the session in `traces/live/`, with its sound if there is any. `flowkit run --no-trace` keeps no record.
The workflow in `.github/workflows/voice.yaml` runs the tests.
"""
