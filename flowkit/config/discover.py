"""Which files of a folder are pipelines: asked of their YAML, not of how they are written.

`"flowkit": 1`, `flowkit : 1`, JSON, a page of comment ahead, a version that stands in an included file: all the same tree. A
file that cannot be read, but looks like a pipeline, counts as one, so that whoever asked is told what is wrong with it.
"""

from __future__ import annotations

import re
from pathlib import Path

from flowkit.config.nodes import Mapping, Sequence
from flowkit.config.problems import Problem
from flowkit.config.read import decode, read_tree
from flowkit.config.text import MAX_BYTES, Source

SUFFIXES = (".yaml", ".yml", ".json")
_WORD = re.compile(rb"flowkit|include|stages|\\[uUx]")
"""What every pipeline holds: its version, or whence that comes, or what it is the version of. Other files are not parsed."""
_VERSION = re.compile(r"""(?m)(?:^[\s{"'?]*|[{,]\s*["'])flowkit["']?\s*:""")


def is_pipeline(path: Path) -> bool:
    """Whether a file is a pipeline, or looks like one and cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError:
        return True
    plain = raw.replace(b"\0", b"")  # UTF-16 is no pipeline, but may be meant as one
    if not _WORD.search(plain):
        return False
    source = decode(raw, str(path), path, [])
    return holds_pipeline(source) if source is not None else _looks_like_one(plain.decode("utf-8", "ignore"))


def holds_pipeline(source: Source) -> bool:
    """The same of a text that is at hand."""
    problems: list[Problem] = []
    tree = read_tree(source, problems)
    return _is_ours(tree, source) if tree is not None else bool(problems) and _looks_like_one(source.text)


def _looks_like_one(text: str) -> bool:
    return _VERSION.search(text) is not None


def _is_ours(tree: Mapping, source: Source) -> bool:
    """A pipeline has a version. One whose version was forgotten is told from a part that others include by its tests; a result
    of flowkit's own, which has a version too, by its lack of stages."""
    stages = tree.get("stages")
    if tree.get("flowkit") is not None:
        return not source.name.endswith(".json") or stages is not None
    described = isinstance(stages, Sequence) and any(isinstance(s, Mapping) and s.get("kind") for s in stages.items)
    return described and tree.get("tests") is not None
