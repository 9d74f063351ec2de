"""What is secret, and how it is kept out of everything that is written or shown.

A secret is learnt where it enters the process: the value of ``${file:}``, of a variable or an option whose name says so, an
API key, the password in a URL. From then on no sink holds it (trace, terminal, page, JUnit, JSON, errors), neither as it is nor
in JSON, a URL or Base64, nor in pieces. What is masked keeps its length and its marks, so that a chunker cuts a masked text
where it cut the true one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 6
"""What is shorter is in the middle of words, and no secret."""
_LEAK = 4
"""From so many characters on the beginning of a secret is one too."""
_LONGEST = 4096
"""So much of a text in pieces is remembered at most."""
_ENCODED = 8
_NAMED = frozenset(
    ("key", "keys", "apikey", "token", "secret", "secrets", "password", "passwords", "passwd", "passphrase", "passcode", "pwd",
     "auth", "authorization", "credential", "credentials", "cookie", "cookies", "bearer")
)  # fmt: skip
_COUNTED = frozenset(("first", "last", "max", "min", "per", "stop", "bos", "eos", "pad", "limit", "count"))
"""Beside these a token is one of a language model's."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HARMLESS = re.compile(r"\d+(\.\d+)?(us|ms|s|min|h|d)?|true|false", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a variable or an option is named like a secret: by whole words, so ``GROQ_API_KEY`` is, and ``GIT_AUTHOR_NAME``
    and ``max_tokens`` are not."""
    words = {word.lower() for word in _WORD.findall(name)}
    return bool(words & _NAMED) and not words & _COUNTED and words != {"pwd"}  # $PWD is the current folder


class Masks:
    """Finds secrets in text. Made of their values; `forms` are all ways in which one can be written."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.values = frozenset(secrets)
        self.forms = sorted(
            {form for value in self.values for form in _forms(value)}, key=lambda form: (-len(form), form)
        )
        self.hidden = {form: masked(form) for form in self.forms}
        self.short = [form for form in self.forms if len(form) <= _LONGEST]
        """Those that are looked for in texts that come in pieces."""
        self.beginning = re.compile("|".join(sorted({re.escape(form[:_LEAK]) for form in self.short})) or "(?!)")

    def __bool__(self) -> bool:
        """Whether there is anything to find."""
        return bool(self.forms)

    def __call__(self, text: str) -> str:
        """The text with every secret in it masked, as long as before."""
        for form in self.forms:
            if form in text:
                text = text.replace(form, self.hidden[form])
        return text

    def pieces(self) -> Pieces:
        """For a text that comes in pieces."""
        return Pieces(self)


class Pieces:
    """A text in pieces, each masked as it comes: what belongs to a secret that began in an earlier piece, or seems to begin one."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._before = ""
        """The end of the text so far, as far as a secret may go on from it."""

    def __call__(self, piece: str) -> str:
        """The piece, as long as before. Of a secret at most the first three characters can have passed unmasked."""
        masks, text, begins = self._masks, self._before + piece, len(self._before)
        self._before = text[1 - _LEAK :]
        if not masks or not masks.beginning.search(text):
            return piece
        shown, open_from = list(piece), len(text)
        for form in reversed(masks.short):  # the longest last, for it says the most
            for at in _places(text, form):
                hidden = masks.hidden[form][max(0, begins - at) : len(text) - at]
                begin = max(0, at - begins)
                shown[begin : begin + len(hidden)] = hidden
                if at + len(form) > len(text):
                    open_from = min(open_from, at)
                    break
        self._before = text[min(open_from, max(0, len(text) + 1 - _LEAK)) :]
        return "".join(shown)


def _places(text: str, form: str) -> Iterator[int]:
    """Where `form` stands in the text, and where the text ends within it."""
    at = text.find(form[:_LEAK])
    while at >= 0:
        if text.startswith(form, at) or (len(text) - at < len(form) and form.startswith(text[at:])):
            yield at
        at = text.find(form[:_LEAK], at + 1)


def masked(text: str) -> str:
    """Letters and digits that say nothing, in the text's own form: ``sk-Ab12`` is ``xx-Xx00``. Where little of it is either,
    nothing of the form stays."""
    if sum(map(str.isalnum, text)) * 2 <= len(text):
        return "x" * len(text)
    shown = "".join(_STAND_IN[kind] if (kind := _kind(char)) else char for char in text)
    return shown if shown != text else "y" * len(text)


_STAND_IN = {"lower": "x", "upper": "X", "digit": "0"}


def _kind(char: str) -> str:
    if char.isdigit():
        return "digit"
    return ("upper" if char.isupper() else "lower") if char.isalnum() else ""


def _forms(secret: str) -> set[str]:
    """The ways in which a secret may be written: as it is, in JSON, in JSON inside JSON, in a URL, in Base64 wherever it begins."""
    if len(secret) < SHORTEST:
        return set()
    forms = written = {secret}
    for _ in range(3):
        written = {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in written for ascii in (True, False)}
        forms |= written
    forms |= {
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    }
    raw = secret.encode(errors="replace")
    for shift in range(3):
        # Of a run of bytes anywhere in others, the characters that are made of these bytes alone.
        first, last = -(-8 * shift // 6), (8 * (shift + len(raw))) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            if len(core := encode(bytes(shift) + raw + bytes(2))[first:last].decode()) >= _ENCODED:
                forms.add(core)
    return forms


class _Known:
    """The process's secrets, as they are learnt."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.masks = Masks()

    def learn(self, values: Iterable[str]) -> None:
        new = {value for value in values if len(value) >= SHORTEST} - self.values
        if new:
            self.values |= new
            self.masks = Masks(self.values)


_KNOWN = _Known()


def learn(*values: str) -> None:
    """These values are secret from now on, in all that this process writes and shows."""
    _KNOWN.learn(values)


def learn_named(name: str, value: object) -> None:
    """So is a text whose name says it, unless it is a number, a duration or the like; and the password in a URL, whatever its
    name."""
    if not isinstance(value, str):
        return
    if is_secret_name(name) and not _HARMLESS.fullmatch(value):
        # "Bearer abc" is as secret without its first word.
        learn(value, *(word for word in value.split() if len(word) > SHORTEST))
    for password in _USERINFO.findall(value):
        learn(password, unquote(password))


def forget() -> None:
    """Nothing is secret any more; for tests, which share a process."""
    _KNOWN.__init__()  # type: ignore[misc]


def known() -> Masks:
    """What finds every secret that was learnt so far."""
    return _KNOWN.masks


def mask(text: str) -> str:
    """A message for people without any secret that was learnt so far: ``***`` stands for it."""
    for form in _KNOWN.masks.forms:
        text = text.replace(form, "***")
    return text
