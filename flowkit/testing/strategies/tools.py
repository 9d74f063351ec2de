"""Random conversations whose agent calls tools: fast ones, slow ones, some that fail or hang, at any instant of the reply."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from flowkit.testing.strategies.conversations import Conversation, conversations

NAMES = ("book", "look", "bye")


@cache
def _delay(most_ms: int) -> st.SearchStrategy[str]:
    grid = st.integers(0, most_ms // 20).map(lambda n: f"{20 * n}ms")
    return st.one_of(grid, st.integers(0, most_ms).map(lambda n: f"{n}ms"))


@cache
def calls() -> st.SearchStrategy[tuple[dict[str, str], ...]]:
    """What a reply calls: usually one tool, sometimes several, one that is not there, or arguments that are none."""
    names, arguments = st.sampled_from((*NAMES[:2], *NAMES, "none")), st.sampled_from(("{}", "{}", '{"n": 2}', "{"))
    return st.lists(st.fixed_dictionaries({"name": names, "arguments": arguments}), min_size=1, max_size=3).map(tuple)


@cache
def tools() -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    """Two tools and the end of the session."""

    def within(name: str, timeout_ms: int) -> st.SearchStrategy[dict[str, Any]]:
        filler = st.fixed_dictionaries({"after": _delay(min(300, timeout_ms - 1)), "text": st.just("One moment.")})
        return st.fixed_dictionaries(
            {"call": st.just(f"bistro:{name}"), "timeout": st.just(f"{timeout_ms}ms")},
            optional={"on_interrupt": st.sampled_from(("keep", "cancel")), "say_after": filler},
        )

    def one(name: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.sampled_from((5_000, 300, 100)).flatmap(lambda timeout_ms: within(name, timeout_ms))

    bye = st.fixed_dictionaries(
        {
            "name": st.just("bye"),
            "builtin": st.just("end_session"),
            "after_playout": st.sampled_from((True, True, False)),
        }
    )
    return st.tuples(one("book"), one("look"), bye)


@cache
def outcomes() -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    """How long each tool takes, and what comes of it."""
    one = st.fixed_dictionaries(
        {"tool": st.sampled_from(NAMES[:2]), "after": _delay(500), "says": st.sampled_from(("ok", "Two seats.", ""))},
        optional={"fails": st.booleans(), "hangs": st.sampled_from((False, False, True))},
    )
    return st.lists(one, max_size=2).map(tuple)


@cache
def _replies_to_outcomes() -> st.SearchStrategy[list[dict[str, Any]]]:
    after = st.fixed_dictionaries(
        {"after": st.sampled_from(NAMES), "text": st.sampled_from(("Done.", "It is booked for two.", ""))},
        optional={"calls": calls()},
    )
    return st.lists(after, max_size=2)


@st.composite
def tool_conversations(draw: st.DrawFn) -> Conversation:
    """A random conversation in which replies call tools, and say something about the outcomes or call again."""
    conversation = draw(conversations())
    replies = [dict(reply) for reply in conversation["llm"]["replies"]]
    for reply in replies:
        if draw(st.sampled_from((True, True, False))):
            reply["calls"] = draw(calls())
    replies += draw(_replies_to_outcomes())
    conversation["llm"] = {**conversation["llm"], "replies": tuple(replies), "tool_rounds": draw(st.integers(1, 3))}
    if draw(st.booleans()):
        greeting = {"text": "Hello.", "interruptible": draw(st.booleans())}
        conversation["gate"] = {**conversation["gate"], "greeting": greeting}
    if draw(st.booleans()):
        idle = {
            "after": draw(_delay(600)),
            "say": "Are you there?",
            "times": 1,
            "then": draw(st.sampled_from(("wait", "end_session"))),
        }
        conversation["gate"] = {**conversation["gate"], "idle": idle}
    conversation["tools"] = {"tools": draw(tools()), "outcomes": draw(outcomes())}
    return conversation
