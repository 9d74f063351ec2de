"""How the agent behaves when a caller talks while it speaks: who gets the floor, how fast, and who stops it for nothing.

Each clip's caller is played, alone, to a talking agent in virtual time, as ``flowkit bench turns`` does it with recordings
of one's own. VAD and ASR are the real ones.

    python tests/benchmarks/bench_interruptions.py FOLDER [SET...]

FOLDER holds `audio/*.wav` and `scenarios/*.json` as hotato's corpus has them (https://github.com/attenlabs/hotato,
`corpus/real` and `corpus/vapi-defaults`), at any depth. SET are settings as for `--set`. A table goes to stderr, JSON to
stdout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.cli.bench import EMBEDDED
from flowkit.config import load
from flowkit.plan import resolve
from flowkit.testing.turns.floor import FloorResult, floor_outcomes
from flowkit.testing.turns.labels import Labelled, checked


def clips(folder: Path) -> Iterator[Labelled]:
    """The labelled clips under `folder`."""
    for path in sorted(folder.rglob("scenarios/*.json")):
        label = json.loads(path.read_text())
        if "caller_onset_sec" not in label or "yield" not in label.get("expected", {}):
            continue
        sound = path.parents[1] / "audio" / (label.get("audio") or f"{label['id']}.example.wav")
        yield Labelled(sound, checked(_labels(label), str(path)))


def _labels(label: dict[str, Any]) -> dict[str, Any]:
    """A scenario in our form. The caller goes on to the end of the clip, if it does not say."""
    onset = label["caller_onset_sec"]
    segments = label.get("reference_render", {}).get("caller_segments_sec", [])
    ends = max([b for a, b in segments if a <= onset < b], default=label.get("duration_sec", onset + 3))
    kind = "take_over" if label["expected"]["yield"] else "backchannel"
    interruption = {"begins": onset, "ends": ends, "kind": kind}
    return {"interruptions": [interruption], "channel": label.get("channels", {}).get("caller_channel", 0)}


def main() -> None:
    """Measure one setting, clip by clip."""
    overrides = tuple(sys.argv[2:])
    plan = resolve(load("embedded", text=EMBEDDED, overrides=overrides))
    result = FloorResult(tuple(one for clip in clips(Path(sys.argv[1])) for one in floor_outcomes(clip, plan)))
    print("\n".join(result.lines()), file=sys.stderr)
    print(json.dumps({"set": overrides, **result.to_json()}, indent=1))


if __name__ == "__main__":
    main()
