"""Checks a whole file: what ``check`` reports and what ``run`` insists on."""

from __future__ import annotations

from dataclasses import dataclass

from flowkit.config import Config, InvalidConfig, Problem, Reading
from flowkit.config.problems import errors, in_order
from flowkit.errors import DeviceError
from flowkit.plan.cases import check_cases
from flowkit.plan.graph import Plan
from flowkit.plan.lints import LINTS, BrokenRule, lint
from flowkit.plan.resolve import draw
from flowkit.plan.tools import check_tools
from flowkit.plan.variants import playback_is_implied


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
    """The plan of a configuration that can run: valid, installed, and without a lint error.

    Raises:
        InvalidConfig: with every error.
        DeviceError: the file has a microphone or a speaker without a provider, and devices are not installed.
    """
    drawn = draw(config)
    found = errors([*drawn.problems, *(located(finding, config) for finding in lint(drawn.plan))])
    if found:
        raise InvalidConfig(found)
    for kind, option in _DEVICES.items():
        stage = drawn.plan.only(kind)
        # A speaker that the file lacks was added only so that replies come to an end. It needs no device.
        if stage is not None and stage.provider is None and not (kind == "speaker" and playback_is_implied(config)):
            raise DeviceError(f"there is no device for the {kind}", hint=f"use a file: {option}")
    return drawn.plan


_DEVICES = {"mic": "--input question.wav", "speaker": "--output reply.wav"}


def located(finding: BrokenRule, config: Config) -> Problem:
    """A lint's finding as a problem: on the stage's line, at the key that shows it if that is on the same line."""
    stage = config.stage(finding.stage)
    mark, path = stage.at(*finding.key)
    if mark.line != stage.mark.line or mark.source is not stage.mark.source:
        mark, path = stage.mark, stage.path
    help = f"{finding.help}; if it is intended: allow: [{finding.code}]"
    return Problem(finding.code, mark, path, finding.what, help=help, severity=LINTS[finding.code].severity)
