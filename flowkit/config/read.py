"""From a path to one tree: the file, what it includes, and the limits on both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

from flowkit.config.merge import over
from flowkit.config.nodes import Mapping, Node, Scalar, Sequence
from flowkit.config.parse import parse
from flowkit.config.problems import Path, Problem
from flowkit.config.text import MAX_BYTES, NamedText, place, start_of

MAX_INCLUDES = 16
"""The most files that one pipeline may consist of."""


def read_source(path: FilePath, name: str, problems: list[Problem]) -> NamedText | None:
    """The text of a file. Appends what is wrong to `problems`."""
    try:
        with path.open("rb") as file:
            # One byte more than allowed, so that `decode` can refuse a larger file that was not read as a whole.
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        problems.append(Problem("FK001", start_of(NamedText(name, "")), (), f"cannot be read: {reason}"))
        return None
    return decode(raw, name, path, problems)


def decode(raw: bytes, name: str, path: FilePath | None, problems: list[Problem]) -> NamedText | None:
    """Bytes as text: at most 1 MiB, UTF-8, with or without a byte order mark."""
    if len(raw) > MAX_BYTES:
        what = f"is larger than {MAX_BYTES // 1024} KiB"
        problems.append(
            Problem("FK002", start_of(NamedText(name, "")), (), what, help="a pipeline file needs a hundredth of that")
        )
        return None
    try:
        return NamedText(name, raw.decode("utf-8-sig"), path)
    except UnicodeDecodeError as exc:
        # The text before the wrong byte is needed to find its line and column.
        source = NamedText(name, raw[: exc.start].decode("utf-8-sig", "replace"), path)
        mark = place(source, len(source.text))
        problems.append(
            Problem("FK003", mark, (), "is not UTF-8 text", f"byte 0x{raw[exc.start]:02x}", "save the file as UTF-8")
        )
        return None


def read_tree(source: NamedText, problems: list[Problem]) -> Mapping | None:
    """The tree of the source, over the trees of what it includes. None if it cannot be used."""
    return _Reader(problems).read(source, ())


class _Reader:
    """Reads one file and those that it includes. `count` limits their number."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        self.count = 0

    def read(self, source: NamedText, above: tuple[FilePath, ...]) -> Mapping | None:
        before = len(self.problems)
        node = parse(source, self.problems)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            # Otherwise the parser has already said why there is no tree.
            if len(self.problems) == before:
                help = "begin with: flowkit: 1"
                self.problems.append(Problem("FK011", start_of(source), (), "the file is empty", help=help))
            return None
        if not isinstance(node, Mapping):
            help = "put the list of stages under the key stages:" if isinstance(node, Sequence) else ""
            self.problems.append(Problem("FK011", node.mark, (), "the file must be a mapping", node.got(), help))
            return None
        return self._with_included(node, source, above)

    def _with_included(self, node: Mapping, source: NamedText, above: tuple[FilePath, ...]) -> Mapping:
        wanted = node.get("include")
        if wanted is None:
            return node
        names = list(enumerate(wanted.items)) if isinstance(wanted, Sequence) else [(None, wanted)]
        below: Node | None = None
        for index, name in names:
            path: Path = ("include",) if index is None else ("include", index)
            tree = self._included(name, path, source, above)
            if tree is not None:
                below = tree if below is None else over(tree, below)
        merged = node if below is None else over(node, below)
        assert isinstance(merged, Mapping)
        return replace(merged, entries={k: e for k, e in merged.entries.items() if k != "include"})

    def _included(self, name: Node, path: Path, source: NamedText, above: tuple[FilePath, ...]) -> Mapping | None:
        if not isinstance(name, Scalar) or not isinstance(name.value, str):
            self.problems.append(Problem("FK111", name.mark, path, "must be a file name or a list of them", name.got()))
            return None
        folder = (above[0] if above else source.path or FilePath("x")).resolve().parent
        base = source.path.parent if source.path else FilePath()
        try:
            # Resolved, so that a link inside the folder cannot lead out of it.
            target = (base / name.value).resolve()
        except (OSError, ValueError, RuntimeError):
            # Such a path leads nowhere. A folder stands for it, which is refused below.
            target = folder.parent
        if refused := self._refusal(target, folder, (*above, *([source.path.resolve()] if source.path else []))):
            self.problems.append(Problem("FK030", name.mark, path, refused, name.got()))
            return None
        # Counted over the whole pipeline and not by depth, because the number of files could double with each level.
        self.count += 1
        found: list[Problem] = []
        included = read_source(target, str(base / name.value), found)
        if included is None:
            self.problems.extend(
                replace(p, code="FK030", mark=name.mark, path=path, what=f"{name.value} {p.what}") for p in found
            )
            return None
        chain = above or ((source.path.resolve(),) if source.path else ())
        return self.read(included, (*chain, target))

    def _refusal(self, target: FilePath, folder: FilePath, chain: tuple[FilePath, ...]) -> str:
        """Why a file may not be included; empty if it may. A file that one does not trust must not read others by
        including them."""
        if target.suffix not in (".yaml", ".yml"):
            return "only .yaml and .yml files can be included"
        if not target.is_relative_to(folder):
            return "only files in the pipeline's own folder or below it can be included"
        if target in chain:
            return "the file includes itself"
        return f"more than {MAX_INCLUDES} files are included" if self.count >= MAX_INCLUDES else ""
