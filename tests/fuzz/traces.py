"""Traces with errors in them: recorded ones, changed at places that their structure offers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.trace import names
from flowkit.trace.chunks import digest_of
from tests.trace.recording import record
from tests.trace.sessions import pipeline

_AS_JSON = frozenset({names.LAYOUT, names.VERSIONS, names.QUEUES, names.AUDIO, names.KEPT, names.TEXT})
"""Attributes whose text is JSON: what stands in it is changed as well."""
_READ = frozenset({names.START, names.SESSION, names.JOURNAL, names.EVENT})
_NUMBERS = (0, 1, -1, 2, 255, 1_000, 16_000, 1 << 31, 1 << 47, 1 << 63, 10**30, 0.5, -0.0, 1e308)
_TEXTS = ("", "a", "mic", "tts", "input", "\x00", "\ud800", "\x1b[2J", "../../x", "9" * 400, "Token", "Timer", "Frames")
_ODD: tuple[Any, ...] = (*_NUMBERS, *_TEXTS, None, True, False, [], {}, [[]], [None], {"all": 1}, {"from": 0, "by": 1})


@dataclass
class Span:
    """A line of a trace: the span's name, its attributes, and all else."""

    name: str
    told: dict[str, Any]
    line: dict[str, Any]


Trace = list[Span]
Change = Callable[[Trace, Random], None]


def record_seeds(folder: Path) -> list[Path]:
    """Some short sessions, each in its own folder with its audio: complete, killed, interrupted, failing."""
    answer = {"heard": ("Hi.", "Ho?"), "replies": ("One, two. Three four five six.", "Madrid.")}
    quick = {"tts": "per_char: 20ms", "vad": "end: 60ms"}
    texts = {
        "plain": pipeline("{at: 60ms, lasts: 120ms}", **answer, **quick),
        "barge-in": pipeline("{at: 60ms, lasts: 120ms}, {at: 600ms, lasts: 300ms}", **answer, **quick),
        "failing": pipeline("{at: 60ms, lasts: 120ms}", **answer, **(quick | {"tts": "fail: true"})),
    }
    seeds = []
    for name, text in texts.items():
        config = load(f"{name}.yaml", text=text)
        plan = resolve(config)
        (folder / name).mkdir()
        recorded = record(folder / name / "a.jsonl", plan, config=show(config, plan))
        seeds.append(recorded.recording.path)
        if name == "plain":
            (folder / "killed").mkdir()
            lines = recorded.recording.path.read_bytes().splitlines(keepends=True)
            seeds.append(folder / "killed" / "a.jsonl")
            seeds[-1].write_bytes(b"".join(line for line in lines[:-1]))
            for flac in (folder / name).glob("*.flac"):
                samples, rate_hz = soundfile.read(flac, dtype="int16")
                soundfile.write(folder / "killed" / f"{flac.stem}.wav", samples, rate_hz)
    return seeds


def taken_apart(path: Path) -> Trace:
    """The spans of a trace as they can be changed."""
    spans = []
    for text in path.read_text().splitlines():
        line = json.loads(text)
        span = _span(line)
        told = {attribute["key"]: _opened(attribute) for attribute in span.pop("attributes", ())}
        spans.append(Span(span["name"], told, line))
    return spans


def put_together(trace: Trace) -> bytes:
    """The file again."""
    return b"".join(map(_line, trace))


def _span(line: Any) -> Any:
    return line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def _opened(attribute: dict[str, Any]) -> Any:
    ((kind, value),) = attribute["value"].items()
    if attribute["key"] in _AS_JSON:
        return json.loads(value)
    if kind == "arrayValue":
        return [
            int(part["intValue"]) if "intValue" in part else part["stringValue"] for part in value.get("values", ())
        ]
    return int(value) if kind == "intValue" else value


def _line(span: Span) -> bytes:
    line = json.loads(json.dumps(span.line))
    _span(line)["attributes"] = [{"key": key, "value": _closed(key, value)} for key, value in span.told.items()]
    return json.dumps(line).encode() + b"\n"


def _closed(key: str, value: Any) -> Any:
    if key in _AS_JSON:
        return {"stringValue": _compact(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_closed("", part) for part in value]}}
    if isinstance(value, str) or value is None:
        return {"stringValue": value}
    return {"doubleValue": value} if isinstance(value, float) else {"intValue": str(value)}


def _compact(value: Any) -> str:
    """JSON as the writer writes it: digests are of text."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    storable = text.encode("utf-8", "ignore").decode() == text
    return text if storable else json.dumps(value, separators=(",", ":"))


def seal(trace: Trace) -> None:
    """Correct the counts and digests after a change, so that a reader does not stop at them."""
    chunks = sorted(
        (span for span in trace if span.name == names.JOURNAL), key=lambda span: str(span.told.get(names.FIRST))
    )
    texts = [_compact(span.told.get(names.TEXT)) for span in chunks]
    for end in (span for span in trace if span.name == names.SESSION):
        end.told[names.DIGEST] = digest_of(texts)
        end.told[names.ROWS] = sum(n for span in chunks if isinstance(n := span.told.get(names.ROWS), int))


# -- changes -----------------------------------------------------------------------------------------------------------


def change_value(trace: Trace, dice: Random) -> None:
    """One value somewhere becomes another; of the configuration, a word."""
    read = [span for span in trace if span.name in _READ]
    told = dice.choice(read or trace).told
    if names.CONFIG in told and dice.randrange(2):
        words = re.split(r"(\W)", str(told[names.CONFIG]))
        words[dice.randrange(len(words))] = dice.choice([*words, *map(str, _ODD)])
        told[names.CONFIG] = "".join(words)
    elif places := list(_places(told)):
        holder, key = dice.choice(places)
        _change(holder, key, dice)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _change(holder: Any, key: Any, dice: Random) -> None:
    value, how = holder[key], dice.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.insert(key, holder[dice.randrange(len(holder))])
    elif how == 2 and isinstance(holder, list):
        other = dice.randrange(len(holder))
        holder[key], holder[other] = holder[other], value
    elif isinstance(value, str) and value and how < 5:
        at = dice.randrange(len(value))
        holder[key] = value[:at] + dice.choice([*_TEXTS, value[at // 2 :]]) + value[at + dice.randrange(3) :]
    elif isinstance(value, int) and how < 5:
        holder[key] = dice.choice([value + 1, value - 1, -value, value * 1_000, value + dice.randrange(100)])
    else:
        holder[key] = dice.choice(_ODD)


def change_lines(trace: Trace, dice: Random) -> None:
    """Lines are missing, come twice, or in another order."""
    at, other = dice.randrange(len(trace)), dice.randrange(len(trace))
    match dice.randrange(4):
        case 0 if len(trace) > 1:
            del trace[at]
        case 1:
            trace.insert(other, trace[at])
        case 2:
            dice.shuffle(trace)
        case _:
            trace[at], trace[other] = trace[other], trace[at]


def scratch(content: bytes, dice: Random) -> bytes:
    """Bytes are missing, or others stand in their place; or the file just stops."""
    at = dice.randrange(len(content) + 1)
    if not dice.randrange(3):
        return content[:at]
    new = dice.choice(
        [b"", b"\n", b"\x00", b'"', b"{", b"]", b"9" * 30, b"\xff\xfe", b"\\u0000", content[at : at + 50]]
    )
    return content[:at] + new + content[at + dice.randrange(20) :]


def change_sound(trace: Trace, folder: Path, dice: Random) -> None:
    """The audio is changed, truncated, missing or in another format, and the trace's description of it fits or does
    not."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".wav"))
    if not files:
        return
    path = dice.choice(files)
    content = path.read_bytes()
    match dice.randrange(5):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(content[: dice.randrange(len(content) + 1)])
        case 2:
            at = dice.randrange(len(content))
            path.write_bytes(content[:at] + dice.randbytes(4) + content[at + 4 :])
        case 3:
            _write_other(path, dice)
        case _:
            path.rename(folder / f"a.{dice.choice(('input', 'voice-8000', 'voice-999999'))}{path.suffix}")
    for span in trace:
        if names.AUDIO in span.told and dice.randrange(2):
            change_value([Span("", {names.AUDIO: span.told[names.AUDIO]}, {})], dice)


def _write_other(path: Path, dice: Random) -> None:
    """Another form, or so much silence that little stands for much."""
    count, channels = dice.choice(((0, 1), (100, 1), (100, 2), (3_000_000, 1)))
    form = {
        "format": "FLAC" if path.suffix == ".flac" else "WAV",
        "subtype": dice.choice(("PCM_16", "PCM_24", "PCM_S8")),
    }
    form["subtype"] = "PCM_U8" if form == {"format": "WAV", "subtype": "PCM_S8"} else form["subtype"]
    soundfile.write(path, np.zeros((count, channels), np.int16), dice.choice((8_000, 16_000, 44_100)), **form)
