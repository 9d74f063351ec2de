"""Writes the tables and plots of docs/turn-taking.md: python tests/turns/page.py FOLDER [NAME...]

Each NAME is a set of recordings: `open`, `aside`, `de`, `es` and `fr` are made in FOLDER/NAME if they are not there, and any
other one has to be there, with labels. What is measured is kept as FOLDER/NAME.json. The page then gets the tables of all
sets that have been measured, and docs/pictures the plots of those named. A set takes minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.cli.bench import EMBEDDED
from flowkit.config import load
from flowkit.plan import Plan, resolve
from flowkit.testing.turns.labels import collect
from flowkit.testing.turns.listening import HeardRecording, hear
from flowkit.testing.turns.plot import plot
from flowkit.testing.turns.result import WITHIN_MS, Result, measured
from tests.turns.make_set import make

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGINS, ENDS = "<!-- written by tests/turns/page.py -->\n", "<!-- end of what it writes -->\n"
TITLES = {
    "open": "English, open half",
    "aside": "English, kept aside",
    "phrases": "English, phrase by phrase",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
}
_WORDS = "  - {kind: turn, provider: words}\n"
_SMART = "  - {kind: turn, id: smart, provider: smart_turn}\n"
PREDICTORS = {"words": _WORDS, "smart_turn": _SMART, "both": _WORDS + _SMART}
"""The stages of kind `turn`. The most certain of several decides."""
COMPARED = ("open", "phrases")
"""The sets on which predictors are compared."""


def pipeline(predictor: str) -> Plan:
    """The embedded pipeline with other predictors."""
    return resolve(load("embedded", text=EMBEDDED.replace(_WORDS, PREDICTORS[predictor])))


def measure(folder: Path, name: str) -> None:
    """Make a set if need be, and measure it."""
    recordings = folder / name
    if not recordings.exists():
        recordings.mkdir(parents=True)
        half, language = (name, "en") if name in ("open", "aside") else ("all", name)
        trio.run(make, recordings, language, half)
    results = {}
    for predictor in PREDICTORS if name in COMPARED else ("words",):
        plan = pipeline(predictor)
        heard = [hear(one, plan, from_labels=name in ("de", "es", "fr")) for one in collect([str(recordings)])]
        results[predictor] = result(predictor, heard)
    keep(folder, name, results)


def result(predictor: str, heard: Sequence[HeardRecording]) -> Result:
    """The result of one predictor on what was heard."""
    return measured(predictor, pipeline(predictor), heard)


def keep(folder: Path, name: str, results: Mapping[str, Result]) -> None:
    """Keep the figures of a set, and draw it."""
    told = {predictor: one.to_json() for predictor, one in results.items()}
    (folder / f"{name}.json").write_text(json.dumps(told, ensure_ascii=False))
    if name in ("open", "aside", "phrases"):
        (DOCS / "pictures" / f"turns-{name}.svg").write_text(plot([results["words"]]))


def page(folder: Path) -> str:
    """The part of the page that is written, from what is kept."""
    files = [folder / f"{name}.json" for name in TITLES]
    sets = {file.stem: json.loads(file.read_text()) for file in files if file.exists()}
    return "\n".join([*_in_use(sets), "", *_within(sets), "", *_compared(sets), "", *_pictures(sets), ""])


def _in_use(sets: Mapping[str, Any]) -> Iterator[str]:
    yield "With the settings in use:\n"
    yield "| recordings | turns | settings | pauses cut | mean delay | silence alone at the same delay |"
    yield "|---|---|---|---|---|---|"
    for name, told in sets.items():
        used = told["words"]["in_use"]
        yield f"| {TITLES[name]} | {used['turns']} | {used['policy']} | {_cut(used)} | {_ms(used)} | {_share(used)} |"


def _within(sets: Mapping[str, Any]) -> Iterator[str]:
    yield "The fewest cuts within a mean delay, and in brackets those of silence alone at the same delay:\n"
    yield f"| mean delay at most | {' | '.join(TITLES[name] for name in sets)} |"
    yield f"|---|{'---|' * len(sets)}"
    for within_ms in WITHIN_MS:
        found = (told["words"]["within"].get(str(within_ms)) for told in sets.values())
        yield f"| {within_ms:,} ms | {' | '.join(f'{_percent(one)} ({_share(one)})' if one else '' for one in found)} |"


def _compared(sets: Mapping[str, Any]) -> Iterator[str]:
    yield "Predictors with the settings in use. With both, the most certain decides:\n"
    yield "| recordings | predictor | pauses cut | mean delay | silence alone at the same delay |"
    yield "|---|---|---|---|---|"
    for name, told in sets.items():
        for predictor, one in told.items() if len(told) > 1 else ():
            used, title = one["in_use"], "`words` and `smart_turn`" if predictor == "both" else f"`{predictor}`"
            yield f"| {TITLES[name]} | {title} | {_cut(used)} | {_ms(used)} | {_share(used)} |"


def _pictures(sets: Mapping[str, Any]) -> Iterator[str]:
    for name in sets:
        if (DOCS / "pictures" / f"turns-{name}.svg").exists():
            yield f"![{TITLES[name]}: pauses cut against the mean delay](pictures/turns-{name}.svg)\n"


def _cut(told: Mapping[str, Any]) -> str:
    return f"{told['cut']} of {told['pauses']}"


def _ms(told: Mapping[str, Any]) -> str:
    return f"{round(told['mean_ms']):,} ms"


def _percent(told: Mapping[str, Any]) -> str:
    return f"{told['cut_share']:.0%}"


def _share(told: Mapping[str, Any]) -> str:
    return "" if told["alone_share"] is None else f"{told['alone_share']:.0%}"


def main() -> None:
    """Measure the sets that are named, and write the page."""
    parser = argparse.ArgumentParser(description="Write the tables and plots of docs/turn-taking.md.")
    parser.add_argument("folder", type=Path)
    # argparse would compare the empty list with the choices.
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TITLES))
    given = parser.parse_args()
    if unknown := set(given.names) - set(TITLES):
        parser.error(f"there is no set {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    for name in given.names:
        measure(given.folder, name)
    file = DOCS / "turn-taking.md"
    before, _, rest = file.read_text("utf-8").partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    file.write_text(f"{before}{BEGINS}\n{page(given.folder)}\n{ENDS}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
