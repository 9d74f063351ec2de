"""The plan: the configuration, resolved into a graph of stages and bounded edges, and checked.

Reading order: ``graph`` (what a plan is), ``wiring`` (which output feeds which input), ``resolve`` (from a Config),
``checks`` and ``budgets`` (what cannot work), ``lints`` (what should not be done), ``cases`` (the stages that the
file's tests name), ``vet`` (all of it), ``variants`` (text instead of audio, files instead of devices).
"""

from flowkit.config.schema import WhenFull
from flowkit.plan.graph import CONTROL_BOUND, Bound, Edge, Plan, PlannedStage, ProviderChoice, Timeouts
from flowkit.plan.lints import lint
from flowkit.plan.resolve import resolve
from flowkit.plan.variants import text_mode, with_devices, with_ends, with_files, with_playback
from flowkit.plan.vet import Vetting, require, vet

__all__ = [
    "CONTROL_BOUND",
    "Bound",
    "Edge",
    "Plan",
    "PlannedStage",
    "ProviderChoice",
    "Timeouts",
    "Vetting",
    "WhenFull",
    "lint",
    "require",
    "resolve",
    "text_mode",
    "vet",
    "with_devices",
    "with_ends",
    "with_files",
    "with_playback",
]
