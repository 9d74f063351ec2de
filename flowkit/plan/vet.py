"""Checks a whole file: what ``check`` reports and what ``run`` insists on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowkit.config import Config, InvalidConfig, Problem, Reading, Severity
from flowkit.config.problems import errors, in_order
from flowkit.errors import DeviceError
from flowkit.plan.cases import check_cases
from flowkit.plan.graph import Plan
from flowkit.plan.lints import LINTS, BrokenRule, lint
from flowkit.plan.resolve import draw
from flowkit.plan.tools import check_tools
from flowkit.plan.variants import playback_is_implied, with_playback
from flowkit.providers.sound.device_host import INSTALL, WITHOUT_DEVICES


@dataclass(frozen=True, slots=True)
class Vetting:
    """The plan, if the file has one, and everything there is to report, in order of place."""

    plan: Plan | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        return errors(self.problems)


def vet(reading: Reading, *, installed: bool = True) -> Vetting:
    """Every problem of a reading: of the file, the graph, the lints, and its tests, which do not prevent the pipeline
    from running. The wiring is checked only if all stages are known."""
    if not reading.whole:
        return Vetting(None, in_order(reading.problems))
    drawn = draw(reading.config, installed=installed)
    found = [located(finding, reading.config) for finding in lint(drawn.plan)]
    found += [*check_cases(reading.config), *(check_tools(reading.config) if installed else ())]
    return Vetting(drawn.plan, in_order([*reading.problems, *drawn.problems, *found]))


def require(config: Config) -> Plan:
    """The plan of a configuration that can run: valid, installed, and without a lint error. Without a speaker it gets playback
    (``with_playback``).

    Raises:
        InvalidConfig: with every error. A tool that is not allowed is one.
        DeviceError: the file has a microphone or a speaker without a provider, and devices are not installed.
    """
    config = with_playback(config)
    drawn = draw(config)
    found = errors([*drawn.problems, *(located(finding, config) for finding in lint(drawn.plan))])
    # To `check`, a tool that is not allowed is a notice. A session cannot begin with it.
    found += [replace(problem, severity=Severity.ERROR) for problem in check_tools(config)]
    if found:
        raise InvalidConfig(found)
    for kind in ("mic", "speaker"):
        stage = drawn.plan.only(kind)
        if stage is not None and stage.provider is None and not (kind == "speaker" and _may_be_silent(config)):
            raise DeviceError(f"there is no device for the {kind}", hint=f"{INSTALL}, {WITHOUT_DEVICES}")
    return drawn.plan


def _may_be_silent(config: Config) -> bool:
    """Whether a missing speaker is no error: it was added only so that replies come to an end, or the user types."""
    return playback_is_implied(config) or not any(stage.kind == "mic" for stage in config.stages)


def located(finding: BrokenRule, config: Config) -> Problem:
    """A lint's finding as a problem: on the stage's line, at the key that shows it if that is on the same line."""
    stage = config.stage(finding.stage)
    mark, path = stage.at(*finding.key)
    if mark.line != stage.mark.line or mark.source is not stage.mark.source:
        mark, path = stage.mark, stage.path
    help = f"{finding.help}; if it is intended: allow: [{finding.code}]"
    return Problem(finding.code, mark, path, finding.what, help=help, severity=LINTS[finding.code].severity)
