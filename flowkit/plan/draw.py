"""The plan as a drawing: for a terminal, for Markdown, for Graphviz. (``svg`` draws it without Graphviz.)"""

from __future__ import annotations

from flowkit.plan.graph import Edge, Plan, PlannedStage
from flowkit.stages.base import CONTROL_CONTENT


def ascii_art(plan: Plan) -> str:
    """The stages from top to bottom, each with its outputs and their targets. Bounds are in brackets, control has a
    dotted arrow."""
    width = max((len(title(stage)) for stage in plan.stages), default=0)
    lines: list[str] = []
    for stage in plan.stages:
        lines += [f"+-{'-' * width}-+", f"| {title(stage):{width}} |", f"+-{'-' * width}-+"]
        outgoing = [edge for edge in plan.edges if edge.source == stage.id]
        lines += [
            f"   |  {edge.output} --> {edge.target}  [{edge.bound.max} {edge.bound.when_full}]"
            for edge in outgoing
            if edge.bound
        ]
        lines += [f"   |  {edge.output} --> {edge.target}  [no bound]" for edge in outgoing if _endless(plan, edge)]
        lines += _control(plan, stage)
    return "\n".join(lines) + "\n"


def _control(plan: Plan, stage: PlannedStage) -> list[str]:
    """One line for each control output, because it goes to many stages."""
    targets: dict[str, list[str]] = {}
    for edge in plan.edges:
        if edge.source == stage.id and is_control(plan, edge):
            targets.setdefault(edge.output, []).append(edge.target)
    return [f"   :  {output} ..> {', '.join(names)}" for output, names in targets.items()]


def mermaid(plan: Plan) -> str:
    """A Mermaid flow chart, which GitHub and many editors draw."""
    lines = ["flowchart TD"]
    lines += [f'    {_name(stage.id)}["{title(stage, "<br>")}"]' for stage in plan.stages]
    for edge in plan.edges:
        arrow = "-.->" if is_control(plan, edge) else "-->"
        lines.append(f'    {_name(edge.source)} {arrow}|"{label(edge)}"| {_name(edge.target)}')
    return "\n".join(lines) + "\n"


def dot(plan: Plan) -> str:
    """A graph in the language of Graphviz."""
    lines = [
        f"digraph {_quoted(plan.name)} {{",
        "  node [shape=box, fontname=sans-serif];",
        "  edge [fontname=sans-serif, fontsize=10];",
    ]
    lines += [f"  {_quoted(stage.id)} [label={_quoted(title(stage, chr(10)))}];" for stage in plan.stages]
    for edge in plan.edges:
        # Control runs against the data. If it shaped the layout, the stages would not be drawn in their order.
        style = ", style=dashed, constraint=false" if is_control(plan, edge) else ""
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(label(edge))}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def title(stage: PlannedStage, separator: str = "  ") -> str:
    """A stage's id and kind, its provider, and the failover list."""
    names = [choice.name for choice in (*([stage.provider] if stage.provider else []), *stage.failover)]
    heading = stage.id if stage.id == stage.kind else f"{stage.id} ({stage.kind})"
    return f"{heading}{separator}{' | '.join(names)}" if names else heading


def label(edge: Edge) -> str:
    """The content of an edge, and how much of it may wait."""
    if edge.bound is None:
        return edge.output
    return f"{edge.output}, {edge.bound.max} {edge.bound.when_full}"


def is_control(plan: Plan, edge: Edge) -> bool:
    """True for an edge out of band."""
    return plan.stage(edge.source).cls.outputs[edge.output] in CONTROL_CONTENT


def _endless(plan: Plan, edge: Edge) -> bool:
    return edge.bound is None and not is_control(plan, edge)


def _name(stage_id: str) -> str:
    """An id in a form that Mermaid accepts: no hyphens, and no reserved word such as `end`."""
    return "s_" + stage_id.replace("-", "_")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
