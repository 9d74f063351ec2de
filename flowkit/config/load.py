"""From a file to a Config: read, merge, interpolate, validate. One run finds everything that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from collections.abc import Mapping as Map
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from pydantic import BaseModel, SecretStr

from flowkit.config.catalog import INSTALLED, Catalog
from flowkit.config.interpolate import Outside, Unset, interpolate
from flowkit.config.keys import StageReading
from flowkit.config.merge import with_block, with_defaults, with_overrides, with_tools, with_whole
from flowkit.config.model import Config
from flowkit.config.nodes import Mapping, Scalar, Sequence, Standing, scalars
from flowkit.config.problems import InvalidConfig, Path, Problem, errors, suggest, without_echoes
from flowkit.config.read import decode, read_source, read_tree
from flowkit.config.schema import APART, OF_INTERRUPT, OF_LIMITS, VERSION, WHOLE, CallOptions, Top, Wiring
from flowkit.config.slips import explained
from flowkit.config.stages import read_stages
from flowkit.config.text import NamedText, start_of
from flowkit.config.validate import build, deeper, keys_of
from flowkit.printable import one_line
from flowkit.secrets import is_secret_name, learn, learn_environment, learn_named

# Inside a stage these are errors only if no other provider of the failover list is left.
_NO_VALUE = ("FK020", "FK022")


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading a file: `config`, as far as it could be understood, and every problem."""

    config: Config
    problems: tuple[Problem, ...]
    source: NamedText
    whole: bool = field(default=True)
    """False if `config` lacks stages that the file has, so that its wiring cannot be checked."""


def load(
    path: FilePath | str,
    *,
    overrides: Seq[str] = (),
    environ: Map[str, str] | None = None,
    text: str | None = None,
    outside: Outside | None = None,
    catalog: Catalog = INSTALLED,
) -> Config:
    """The configuration in a file, or in `text` under the name `path`; ``-`` is standard input.

    Args:
        overrides: settings ``path=value`` from the command line, in order.
        environ: the variables that ``${VAR}`` may name. Giving them trusts the file, as ``run`` does: it may read ``${file:}``, and
            errors show the values of variables. Without them nothing outside the file is read.
        outside: what values may refer to, if it is something else.
        catalog: the kinds and providers that the file may name; by default those that are installed.

    Raises:
        InvalidConfig: with every problem, each with file, line and column.
    """
    trusted = environ is not None
    # Before anything is read, because already the first error could quote a value.
    learn_environment(environ or {})
    outside = outside or Outside(environ or {}, files=trusted, reveal=trusted)
    reading = read(path, overrides=overrides, text=text, outside=outside, catalog=catalog)
    if errors(reading.problems):
        raise InvalidConfig(errors(reading.problems))
    return reading.config


def read(
    path: FilePath | str,
    *,
    overrides: Seq[str] = (),
    environ: Map[str, str] | None = None,
    text: str | None = None,
    outside: Outside | None = None,
    catalog: Catalog = INSTALLED,
) -> Reading:
    """As `load`, but never raises: returns what could be understood, and what is wrong with the rest. It does not trust
    the file unless `outside` says so: it opens no ``${file:}`` and shows no variable's value."""
    problems: list[Problem] = []
    source = _source(path, text, problems)
    if source is None:
        empty = NamedText(str(path), "")
        return Reading(_nothing(Mapping(start_of(empty)), catalog), tuple(problems), empty, whole=False)
    return read_text(source, overrides, outside or Outside(environ=environ or {}), catalog, problems)


def read_text(
    source: NamedText, overrides: Seq[str], outside: Outside, catalog: Catalog, problems: list[Problem]
) -> Reading:
    """As `read`, for a source in memory."""
    root = read_tree(source, problems)
    if root is None:
        return Reading(_nothing(Mapping(start_of(source)), catalog), tuple(problems), source, whole=False)
    # Before the defaults: a kind or provider that is set decides which defaults apply.
    root = with_overrides(root, overrides, problems)
    root = with_defaults(root, catalog.kinds(), problems)
    missing: list[Problem] = []
    resolved = interpolate(root, outside, missing)
    assert isinstance(resolved, Mapping)
    _learn_secrets(resolved)
    return _validated(resolved, source, catalog, problems, missing)


def _learn_secrets(root: Mapping) -> None:
    """Learns values under names that say secret, and passwords in URLs, before any error can show them."""
    for path, scalar in scalars(root):
        if scalar.standing is not Standing.UNREAD:
            named = next((part for part in path if isinstance(part, str) and is_secret_name(part)), "")
            learn_named(named, scalar.value)


def _source(path: FilePath | str, text: str | None, problems: list[Problem]) -> NamedText | None:
    if text is not None:
        # Half surrogate pairs pass here, so that `decode` refuses them and names their place.
        return decode(text.encode("utf-8", "surrogatepass"), str(path), FilePath(path), problems)
    if str(path) == "-":
        return decode(sys.stdin.buffer.read(), "<stdin>", None, problems)
    return read_source(FilePath(path), str(path), problems)


def _nothing(root: Mapping, catalog: Catalog) -> Config:
    return Config("", (), Top(), root, catalog=catalog)


def _validated(
    root: Mapping, source: NamedText, catalog: Catalog, problems: list[Problem], missing: list[Problem]
) -> Reading:
    in_stages: dict[Path, Problem] = {}
    for problem in missing:
        if problem.code in _NO_VALUE and problem.path[:1] == ("stages",):
            in_stages[problem.path] = problem
        elif problem.path[:1] != ("defaults",):  # in defaults it counts only if a stage takes it
            problems.append(problem)
    _version(root, problems)
    top = _top(root, problems)
    context = StageReading(catalog, problems, [], in_stages)
    if top is not None:  # an invalid block would only be reported again by the gate
        root = with_block(root, "interrupt", OF_INTERRUPT, problems)
        root = with_block(root, "limits", OF_LIMITS, problems)
        root = with_whole(with_tools(root), WHOLE, problems)
    stages = read_stages(root.get("stages"), root, context)
    top = top or Top()
    written = root.get("stages")
    whole = isinstance(written, Sequence) and len({stage.id for stage in stages}) == len(written.items)
    name = top.name or (one_line(source.path.stem) if source.path else "pipeline")
    config = Config(name, stages, top, root, source.path, tuple(context.notices), catalog)
    learn(*_declared(config))
    found = [explained(problem) for problem in without_echoes(problems)]
    return Reading(config, (*found, *context.notices), source, whole)


def _declared(config: Config) -> Iterator[str]:
    """The values of options that are declared secret, whatever their names."""
    yield from (token.get_secret_value() for token in config.top.serve.tokens)
    for stage in config.stages:
        for candidate in stage.candidates:
            if isinstance(candidate.options, BaseModel):
                values = (getattr(candidate.options, name, None) for name in type(candidate.options).model_fields)
                yield from (value.get_secret_value() for value in values if isinstance(value, SecretStr))


def _version(root: Mapping, problems: list[Problem]) -> None:
    version = root.get("flowkit")
    if version is None:
        what = "'flowkit' is missing: the version of the language"
        problems.append(
            # One line alone: the mark of the root would show the whole file.
            Problem("FK100", root.mark._replace(end_line=root.mark.line), (), what, help="begin with: flowkit: 1")
        )
    elif (
        not isinstance(version, Scalar)
        or (version.value is not VERSION and version.value != VERSION)
        # In Python True equals 1, but `flowkit: true` names no version.
        or version.value is True
    ):
        what = f"unknown version: this flowkit reads version {VERSION}"
        problems.append(Problem("FK100", version.mark, ("flowkit",), what, version.got(), "write: flowkit: 1"))


def _top(root: Mapping, problems: list[Problem]) -> Top | None:
    known = [*keys_of(Top), *APART]
    for key, entry in root.entries.items():
        if key not in known:
            of_stage = [*keys_of(Wiring), *keys_of(CallOptions), "kind", "provider", "failover"]
            help = (
                f"{key!r} belongs to a stage" if key in of_stage else deeper(key, [Top]) or suggest(key, known, "keys")
            )
            problems.append(Problem("FK101", entry.key, (key,), f"unknown key {key!r}", help=help))
    # Without the unknown keys: they were reported above, with better help than the model could give.
    blocks = replace(root, entries={k: e for k, e in root.entries.items() if k in keys_of(Top)})
    return build(Top, blocks, (), problems)


__all__ = ["Outside", "Reading", "Unset", "load", "read", "read_text"]
