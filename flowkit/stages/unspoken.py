"""What a model writes that is not for the listener, between marks: its reasoning, and tool calls that it writes as text.

This comes between the model and the chunker. The llm stage passes every token through it. Failover passes what an
attempt said through it, so that a retry is compared with what was heard. If a server sends reasoning separately
(`reasoning_content`), its provider handles that.

`FORMS` is the table of marks. A mark may come in any number of tokens. So text that may become one is held back until
that is decided, which takes at most `LONGEST` characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from flowkit.chunker import SpeakRules
from flowkit.chunker.speak import speak
from flowkit.words import has_words

LONGEST = 120
"""The longest mark. Anything longer is text."""


class Form(NamedTuple):
    """Text that is not spoken, from a mark that begins with `opens` to one that begins with `closes`. Both end with
    `ends`. Attributes may come in between."""

    opens: str
    closes: str
    ends: str


_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think")
_CALL_TAGS = ("tool_call", "tool_calls", "function_call", "function_calls", "function")
FORMS = (
    *(Form(f"<{tag}", f"</{tag}", ">") for tag in (*_TAGS, *_CALL_TAGS)),
    Form("[tool_calls", "[/tool_calls", "]"),  # Mistral's, mostly without an end
    Form("[think", "[/think", "]"),
    Form("◁think", "◁/think", "▷"),
    # OpenAI's open models name a channel. What is for the user comes on another channel, which ends the reasoning.
    Form("<|channel|>analysis", "<|channel|>final", "<|message|>"),
    Form("<|start_thinking|", "<|end_thinking|", ">"),  # Cohere's
    Form("<|begin_of_thought|", "<|end_of_thought|", ">"),
    # Models that mark their thought may mark their answer too. What follows its end is not for the user.
    Form("<|end_response|", "<|start_response|", ">"),
    Form("<|end_of_solution|", "<|begin_of_solution|", ">"),
)
_CALLS = frozenset(n for n, form in enumerate(FORMS) if form.opens[1:] in _CALL_TAGS or form.opens == "[tool_calls") | {
    len(FORMS)
}
# What a mark can begin with. Most tokens have none of these, and need no search.
_HEADS = frozenset("<[◁`")
_FENCED = len(FORMS)
"""The number of a form that is not in the table: a code block that is a tool call in JSON. Its first keys say so."""
_FENCE = "```"
_WORDS = r"\(\?:.*\)"
_FENCED_CALL = (
    *(_FENCE, "[a-z_]{0,9}", r"[\s\[]{0,6}", r"\{", r"\s{0,6}"),
    *('"', "(?:name|tool|function)", '"', r"\s{0,2}", ":", r"\s{0,2}", '"', r"[\w-]{0,48}", '"'),
    *(r"\s?", ",", r"\s{0,8}", '"', "(?:arguments|parameters)", '"'),
)


def _mark(begins: str, ends: str) -> str:
    return f"{re.escape(begins)}(?:[\\s/=][^<>\\[\\]]{{0,{LONGEST - 2 * len(begins)}}})?{re.escape(ends)}"


def _begun(pieces: tuple[str, ...]) -> str:
    """What matches any beginning of a text of these pieces. Of a word, any letters are enough."""
    return "".join(f"(?:{re.sub(_WORDS, '[a-z]*', piece)}" for piece in pieces) + ")?" * len(pieces)


_MARKS = re.compile(
    "|".join(
        (
            *(
                f"(?P<o{n}>{_mark(form.opens, form.ends)})|(?P<c{n}>{_mark(form.closes, form.ends)})"
                for n, form in enumerate(FORMS)
            ),
            f"(?P<o{_FENCED}>{''.join(_FENCED_CALL)})|(?P<c{_FENCED}>{_FENCE})",
        )
    ),
    re.IGNORECASE,
)
_FENCED_CALL_BEGUN = re.compile(_begun((*_FENCE, *_FENCED_CALL[1:])))


@dataclass(slots=True)
class SpokenText:
    """The text of one reply without what is not spoken. `depth`: open marks of `form`. `held`: what may become a mark.
    `before`: the last character read. `calls`: the tool calls that were written as text, with their marks. `call`: what
    there is of the next one."""

    form: int = 0
    depth: int = 0
    held: str = ""
    before: str = ""
    calls: tuple[str, ...] = ()
    call: str = ""

    def feed(self, text: str) -> str:
        """The next piece of the reply, split anywhere; returns the part of it, and of what was held back, that is
        spoken."""
        return text if self.all_of(text) else self._read(self.held + text, final=False)

    def all_of(self, text: str) -> bool:
        """Whether all of `text`, the next piece of the reply, is spoken. If so, it counts as read."""
        if self.depth or self.held or not text or not _HEADS.isdisjoint(text):
            return False
        self.before = text[-1]
        return True

    def end(self) -> str:
        """The reply is complete: returns what was held back. Reasoning without an end mark is still not spoken."""
        rest = self._read(self.held, final=True)
        self._complete()
        return rest

    def _read(self, text: str, *, final: bool) -> str:
        spoken, at = "", 0
        for mark in _MARKS.finditer(text):
            before = text[mark.start() - 1] if mark.start() else self.before
            if not self.depth and (before == "`" or mark.group() == _FENCE):
                continue  # a reply about such marks, which quotes one, or any other code block
            if not self.depth:
                spoken += text[at : mark.start()]
            else:
                self._keep(text[at : mark.start()])
            group, at = mark.lastgroup or "", mark.end()
            if self.depth and self.form == _FENCED and group == f"o{_FENCED}":
                group, at = f"c{_FENCED}", mark.start() + len(_FENCE)  # blocks do not nest, so it ends here
            self._pass(group, text[mark.start() : at])
        rest = len(text) if final else max(at, _undecided(text))
        self.held, self.before = text[rest:], text[rest - 1 : rest] or self.before
        if not self.depth:
            return spoken + text[at:rest]
        self._keep(text[at:rest])
        return spoken

    def _keep(self, text: str) -> None:
        """More of what is not spoken: of a call it may be needed."""
        if self.form in _CALLS:
            self.call += text

    def _complete(self) -> None:
        if self.call:
            self.calls, self.call = (*self.calls, self.call), ""

    def _pass(self, group: str, mark: str) -> None:
        form = int(group[1:])
        # Marks of another form within reasoning are part of it.
        if self.depth and form != self.form:
            self._keep(mark)
            return
        self.form = form
        if self.depth or group[0] == "o":
            self._keep(mark)
        if group[0] == "c":
            self.depth = max(0, self.depth - 1)
            if not self.depth:
                self._complete()
        elif not mark.endswith(("/>", "/]")):
            # A mark that closes itself has nothing inside.
            self.depth += 1


_OPEN_MARKUP = re.compile(r"(?:<(?:/?[a-zA-Z][^<>\n]*)?|!?\[[^\w\]\n]*(?:\](?:\([^)\n]*)?)?|!)\Z")
"""A tag or a link without a label that more text may complete. Its letters would not be spoken."""
_LONGEST_MARKUP = 500


@dataclass(slots=True)
class FirstWord:
    """Looks for the first word of a reply that is spoken. Punctuation, emoji, tags and images have none.

    `found`: there was one. `read`: the text without one, as far as it matters.
    """

    found: bool = False
    read: str = ""

    def feed(self, text: str) -> bool:
        """The next piece of the reply; returns whether there was a word by now."""
        if not self.found:
            # Bounded, or each token of a long reply without words would cost more than the one before.
            self.read = (self.read + text)[-_LONGEST_MARKUP:]
            mark = _OPEN_MARKUP.search(self.read)
            self.found = _says(self.read[: mark.start()] if mark else self.read)
        return self.found

    def end(self) -> bool:
        """The reply is complete: returns whether it has a word."""
        self.found = self.found or _says(self.read)
        return self.found


def _says(text: str) -> bool:
    return has_words(text) and has_words(speak(text, SpeakRules(), "code")[0])


def _undecided(text: str) -> int:
    """Where text begins that may become a mark, if more text follows."""
    for at in range(max(0, len(text) - LONGEST), len(text)):
        if text[at] in _HEADS and _may_become(text[at:].lower()):
            return at
    return len(text)


def _may_become(tail: str) -> bool:
    if tail[0] == "`":
        return _FENCED_CALL_BEGUN.fullmatch(tail) is not None
    return any(
        begins.startswith(tail) or (tail.startswith(begins) and _goes_on(tail[len(begins) :], form.ends))
        for form in FORMS
        for begins in (form.opens, form.closes)
    )


def _goes_on(rest: str, ends: str) -> bool:
    return ends.startswith(rest) or (rest[0] in " \t\n/=" and not any(mark in rest for mark in "<>[]"))
