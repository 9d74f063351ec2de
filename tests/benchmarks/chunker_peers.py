"""flowkit's chunker beside other sentence splitters, on the same cases with the same scorer.

    python tests/benchmarks/chunker_peers.py CASES.jsonl [MORE.jsonl ...] [--json OUT]

Every peer that is installed takes part; one that is not is named as absent. Splitters that know no streams are asked
again after every token and all but their last sentence is taken, as agents usually do with them. Costs are processor
time, so that a busy machine does not count; a peer's run is not repeated once it has cost ten seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from flowkit.testing.score import GoldReply, Scored, chunk, chunk_sentences, load, score, tokenize

Split = Callable[[str], Sequence[str]]


def resplit(split: Split, tokens: Sequence[str]) -> list[tuple[int, str]]:
    """A splitter of whole texts as a chunker of streams: after each token the text is split again from the last cut on."""
    buffer, out = "", []
    for seen, token in enumerate(tokens, 1):
        buffer += token
        pieces = [piece for piece in split(buffer) if piece.strip()]
        for piece in pieces[:-1]:
            start = buffer.find(piece.strip())
            end = start + len(piece.strip()) if start >= 0 else len(piece)
            out.append((seen, buffer[:end]))
            buffer = buffer[end:]
    return out + [(len(tokens), piece) for piece in split(buffer) if piece.strip()] if buffer.strip() else out


def peer(module: str, make: Callable[[Any, str], Split]) -> Callable[[], Scored]:
    """A whole-text splitter, made once a language by `make(module, language)`."""

    def load_peer() -> Scored:
        found, made = import_module(module), dict[str, Split]()

        def run(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
            if lang not in made:
                made[lang] = make(found, lang)
            return resplit(made[lang], tokens)

        return run

    return load_peer


def _or_english(make: Callable[[str], Any], language: str) -> Any:
    """What a peer makes for a language; for English if it does not know the language."""
    try:
        return make(language)
    except Exception:  # each peer has an error of its own for an unknown language
        return make("en")


def _blingfire(module: Any, _: str) -> Split:
    def split(text: str) -> list[str]:
        ends = [end for _, end in module.text_to_sentences_and_offsets(text)[1]]
        starts = [0, *ends]
        return [text[start:end] for start, end in zip(starts, [*ends[:-1], len(text)], strict=False)]

    return split


def _syntok(module: Any, _: str) -> Split:
    def split(text: str) -> list[str]:
        found = [sentence for paragraph in module.analyze(text) for sentence in paragraph if sentence]
        return [text[sentence[0].offset : sentence[-1].offset + len(sentence[-1].value)] for sentence in found]

    return split


def _stream2sentence(**options: Any) -> Callable[[], Scored]:
    def load_peer() -> Scored:
        splitter = import_module("stream2sentence").SentenceSplitter

        def run(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
            splits, out = splitter(language=lang, auto_context=True, **options), []
            for seen, token in enumerate(tokens, 1):
                splits.add(token)
                out += [(seen, text) for text in splits.stream()]
            return out + [(len(tokens), text) for text in splits.flush()]

        return run

    return load_peer


def _sentence_stream() -> Scored:
    detector = import_module("sentence_stream").SentenceBoundaryDetector

    def run(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
        boundaries, out = detector(), []
        for seen, token in enumerate(tokens, 1):
            out += [(seen, text) for text in boundaries.add_chunk(token)]
        return [*out, (len(tokens), boundaries.finish() or "")]

    return run


CHUNKERS: dict[str, Callable[[], Scored]] = {
    "flowkit, clauses": lambda: chunk,
    "flowkit, sentences": lambda: chunk_sentences,
    "pysbd": peer(
        "pysbd", lambda m, lang: _or_english(lambda code: m.Segmenter(language=code, clean=False), lang).segment
    ),
    "sentencex": peer("sentencex", lambda m, lang: lambda text: list(m.segment(lang, text))),
    "blingfire": peer("blingfire", _blingfire),
    "yasbd": peer(
        "yasbd",
        lambda m, lang: lambda text: list(_or_english(lambda code: m.BoundaryDetector(lang=code), lang).segment(text)),
    ),
    "nupunkt": peer("nupunkt", lambda m, _: m.sent_tokenize),
    "syntok": peer("syntok.segmenter", _syntok),
    "sentence-splitter": peer(
        "sentence_splitter", lambda m, lang: _or_english(lambda code: m.SentenceSplitter(language=code), lang).split
    ),
    "stream2sentence": _stream2sentence(),
    "stream2sentence, quick": _stream2sentence(quick_yield_single_sentence_fragment=True),
    "sentence-stream": _sentence_stream,
    "mark and space": lambda: lambda tokens, lang="en": resplit(_mark_and_space, tokens),
}


def _mark_and_space(text: str) -> list[str]:
    """What most hand-written agents do."""
    pieces, start = [], 0
    for at in range(len(text) - 1):
        if text[at] in ".!?。！？" and text[at + 1].isspace():
            pieces.append(text[start : at + 1])
            start = at + 1
    return [*pieces, text[start:]]


def cost(chunker: Scored, cases: Sequence[GoldReply], limit_s: float = 10.0) -> dict[str, float | None]:
    """Microseconds a token: over the English cases' prose, and over 5,000 and 500 tokens without a mark."""
    prose = tokenize(" ".join(case.text.strip() for case in cases if case.lang == "en" and "\n" not in case.text))
    plain = [" and" if number % 3 == 0 else f" word{number % 7}" for number in range(5000)]
    short = _time(chunker, plain[:500], limit_s)
    # A cost that grows with the buffer makes ten times the tokens a hundred times the time: do not wait for that.
    long = _time(chunker, plain, limit_s) if short is not None and short < 500 else None
    return {"prose_us": _time(chunker, prose, limit_s), "plain_5000_us": long, "plain_500_us": short}


def _time(chunker: Scored, tokens: Sequence[str], limit_s: float) -> float | None:
    runs: list[float] = []
    while len(runs) < 5 and sum(runs) < limit_s:
        start = time.process_time()
        try:
            chunker(tokens, lang="en")
        except Exception:  # a peer that fails has no cost
            return None
        runs.append(time.process_time() - start)
    return round(median(runs) * 1e6 / max(1, len(tokens)), 2)


def measure(cases: Sequence[GoldReply]) -> dict[str, Any]:
    """Every chunker's score and cost; why it is absent if it does not load."""
    table: dict[str, Any] = {}
    for name, load_chunker in CHUNKERS.items():
        try:
            chunker = load_chunker()
        except Exception as error:  # an import may fail in any way
            table[name] = {"absent": f"{type(error).__name__}: {error}"}
            continue
        print(f"scoring {name}", file=sys.stderr)
        table[name] = asdict(score(chunker, cases)) | cost(chunker, cases)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="write there instead of stdout")
    given = parser.parse_args()
    result = json.dumps({path.stem: measure(load(path)) for path in given.cases}, indent=1)
    if given.json:
        given.json.write_text(result + "\n", "utf-8")
    else:
        print(result)


if __name__ == "__main__":
    main()
