"""Questions on the terminal. Without one, nothing is asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def can_ask() -> bool:
    """Whether a user can see a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def yes(question: str) -> bool:
    """Ask a question whose answer is yes by default. False at the end of the input."""
    return _line(f"{question} [Y/n] ", "no").strip().lower() in ("", "y", "yes")


def text(question: str, default: str) -> str:
    """Ask for a text, which is `default` if the user only presses Enter."""
    return _line(f"{question} [{default}] ", "").strip() or default


def choice(question: str, choices: Mapping[str, str], default: str) -> str:
    """Ask for one of `choices`, whose values describe them. A unique beginning is enough; asks again otherwise."""
    width = max(map(len, choices))
    listed = "".join(f"  {name:{width}}  {what}\n" for name, what in choices.items())
    while True:
        answer = _line(f"{question}\n{listed}[{default}] ", "").strip().lower() or default
        meant = [name for name in choices if name.startswith(answer)]
        if len(meant) == 1:
            return meant[0]


def _line(prompt: str, at_the_end: str) -> str:
    # On standard error, because standard output may go to a file.
    print(prompt, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        taken = f"taken as {at_the_end!r}" if at_the_end else "the default is taken"
        print(f"\n(end of input: {taken})", file=sys.stderr)
    return answer or at_the_end
