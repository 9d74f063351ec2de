"""Which files of a folder are pipelines. The parsed YAML decides, not how it is written.

`"flowkit": 1`, `flowkit : 1`, JSON, a long comment at the top, or a version in an included file all give the same tree.
A file that looks like a pipeline but cannot be read counts as one, so that its errors are reported.
"""

from __future__ import annotations

import re
from pathlib import Path

from flowkit.config.nodes import Mapping, Sequence
from flowkit.config.problems import Problem
from flowkit.config.read import decode, read_tree
from flowkit.config.text import MAX_BYTES, NamedText

SUFFIXES = (".yaml", ".yml", ".json")
_WORD = re.compile(rb"flowkit|include|stages|\\[uUx]")
"""What every pipeline contains: its version, or the include that brings the version, or its stages. Files without any
of these are not parsed."""
_VERSION = re.compile(r"""(?m)(?:^(?:[^\S\n]|[{"'?]|[!&]\S*[^\S\n])*|[{,]\s*["'])flowkit["']?\s*:""")


def is_pipeline(path: Path) -> bool:
    """Whether a file is a pipeline, or looks like one and cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    # Reported when it is read as a pipeline. Passed over here, it would be missing in silence.
    except OSError:
        return True
    plain = raw.replace(b"\0", b"")  # a file in UTF-16 is not a pipeline, but may be meant as one
    if not _WORD.search(plain):
        return False
    source = decode(raw, str(path), path, [])
    return holds_pipeline(source) if source is not None else _looks_like_one(plain.decode("utf-8", "ignore"))


def holds_pipeline(source: NamedText) -> bool:
    """The same for a text."""
    problems: list[Problem] = []
    tree = read_tree(source, problems)
    return _is_ours(tree, source) if tree is not None else bool(problems) and _looks_like_one(source.text)


def _looks_like_one(text: str) -> bool:
    return _VERSION.search(text) is not None


def _is_ours(tree: Mapping, source: NamedText) -> bool:
    """Whether a tree is a pipeline. A pipeline has a version. Without one, a file with tests is a pipeline whose
    version was forgotten, and not a file for others to include. A result file of flowkit has a version too, but no
    stages."""
    stages = tree.get("stages")
    if tree.get("flowkit") is not None:
        return not source.name.endswith(".json") or stages is not None
    described = isinstance(stages, Sequence) and any(isinstance(s, Mapping) and s.get("kind") for s in stages.items)
    return described and tree.get("tests") is not None
