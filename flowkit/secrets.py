"""What is secret, and how it is kept out of everything that is written or shown.

A secret becomes known where it enters the process: the value of ``${file:}``, of a variable or an option whose name
says so, an API key, the password in a URL. From then on no output contains it: no trace, terminal, page, JUnit file,
JSON or error. That holds for the secret itself, for its form in JSON, in a URL and in Base64, and for text that comes
in pieces.

A masked text keeps its length and its punctuation, so that a chunker cuts it where it cut the original.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 6
"""Shorter values are not treated as secrets, because they occur inside words."""
_SHORTEST_UNASKED = 8
"""The same for variables to which no file refers. Their names are chosen by other programs."""
_LEAK = 4
"""The beginning of a secret counts as secret from this many characters on."""
_LONGEST = 4096
"""How many characters of a text in pieces are remembered at most."""
_ENCODED = 8
"""Base64 forms that are shorter are not searched for. They would occur by chance."""
_NAMED = frozenset(
    ("key", "keys", "apikey", "token", "secret", "secrets", "password", "passwords", "passwd", "passphrase", "passcode", "pwd",
     "auth", "authorization", "credential", "credentials", "cookie", "cookies", "bearer")
)  # fmt: skip
_COUNTED = frozenset(("first", "last", "max", "min", "per", "stop", "bos", "eos", "pad", "limit", "count"))
"""Next to one of these words, a token is a language model's and not a secret."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Such values occur everywhere. Masking each occurrence would ruin a trace and protect nothing.
_HARMLESS = re.compile(r"\d+(\.\d+)?(us|ms|s|min|h|d)?|true|false", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a variable or an option is named like a secret.

    Whole words count. So ``GROQ_API_KEY`` is one, and ``GIT_AUTHOR_NAME`` and ``max_tokens`` are not.
    """
    words = {word.lower() for word in _WORD.findall(name)}
    return bool(words & _NAMED) and not words & _COUNTED and words != {"pwd"}  # $PWD is the current folder


class Masks:
    """Finds and masks these secrets in text. `forms` are all texts as which one can occur, the longest first."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.values = frozenset(secrets)
        # The longest first, so that a form inside another does not break it up. Then by text: all runs mask alike.
        self.forms = sorted(
            {form for value in self.values for form in _forms(value)}, key=lambda form: (-len(form), form)
        )
        self.hidden = {form: masked(form) for form in self.forms}
        self.short = [form for form in self.forms if len(form) <= _LONGEST]
        """The forms that are searched for in text that comes in pieces."""
        # Without secrets the pattern must match nothing. An empty one would match everywhere.
        self.beginning = re.compile("|".join(sorted({re.escape(form[:_LEAK]) for form in self.short})) or "(?!)")

    def __bool__(self) -> bool:
        """Whether there are any secrets."""
        return bool(self.forms)

    def __call__(self, text: str) -> str:
        """The text with every secret masked. Its length does not change."""
        for form in self.forms:
            if form in text:
                text = text.replace(form, self.hidden[form])
        return text

    def pieces(self) -> Pieces:
        """A masker for one text that comes in pieces."""
        return Pieces(self)


class Pieces:
    """Masks a text that comes in pieces, even where a secret is split between pieces."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._before = ""
        """The end of the text so far, as much of it as may be the beginning of a secret."""

    def __call__(self, piece: str) -> str:
        """The next piece, masked. At most the first three characters of a secret can have passed in earlier pieces."""
        masks, text, begins = self._masks, self._before + piece, len(self._before)
        # Three characters: with them, a secret that begins in this piece is recognised by its fourth.
        self._before = text[1 - _LEAK :]
        if not masks or not masks.beginning.search(text):
            return piece
        shown, open_from = list(piece), len(text)
        for form in reversed(masks.short):  # the longest last, so that it overrides shorter ones
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
    """The indexes at which `form` occurs, and those at which the text ends inside it."""
    at = text.find(form[:_LEAK])
    while at >= 0:
        if text.startswith(form, at) or (len(text) - at < len(form) and form.startswith(text[at:])):
            yield at
        at = text.find(form[:_LEAK], at + 1)


def is_hidden(text: str) -> bool:
    """Whether only asterisks are left of a secret, as in the configuration that a trace holds."""
    return bool(text) and not text.strip("*")


def masked(text: str) -> str:
    """The text with letters and digits replaced, so that ``sk-Ab12`` becomes ``xx-Xx00``.

    If at most half of the text is letters and digits, all characters are replaced.
    """
    # Punctuation is kept below, so a secret that consists of it would stay readable.
    if sum(map(str.isalnum, text)) * 2 <= len(text):
        return "x" * len(text)
    shown = "".join(_STAND_IN[kind] if (kind := _kind(char)) else char for char in text)
    # A secret such as `xxxxxx` would be its own mask, and so be written as it is.
    return shown if shown != text else "y" * len(text)


_STAND_IN = {"lower": "x", "upper": "X", "digit": "0"}


def _kind(char: str) -> str:
    if char.isdigit():
        return "digit"
    return ("upper" if char.isupper() else "lower") if char.isalnum() else ""


def _forms(secret: str) -> set[str]:
    """The texts as which a secret can occur: itself, in JSON, in nested JSON, in a URL, in Base64 at any offset."""
    if len(secret) < SHORTEST:
        return set()
    forms = written = {secret}
    # A trace holds JSON inside JSON, so a text may be escaped several times.
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
        # If the secret is encoded together with other bytes, only these characters depend on the secret alone.
        first, last = -(-8 * shift // 6), (8 * (shift + len(raw))) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            if len(core := encode(bytes(shift) + raw + bytes(2))[first:last].decode()) >= _ENCODED:
                forms.add(core)
    return forms


class _Known:
    """The secrets of this process."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.masks = Masks()

    def learn(self, values: Iterable[str]) -> None:
        # The masks hold many forms of each secret, so they are built only when one is really new.
        new = {value for value in values if len(value) >= SHORTEST and not is_hidden(value)} - self.values
        if new:
            self.values |= new
            self.masks = Masks(self.values)


_KNOWN = _Known()


def learn(*values: str) -> None:
    """Treat these values as secret from now on, in everything that this process writes and shows."""
    _KNOWN.learn(values)


def learn_named(name: str, value: object) -> None:
    """Treat `value` as secret if `name` is named like a secret, unless it is a number, a duration or a truth value.

    The password in a URL is treated as secret whatever the name is.
    """
    if not isinstance(value, str):
        return
    if is_secret_name(name) and not _HARMLESS.fullmatch(value):
        # Of "Bearer abc", the part "abc" is secret too.
        learn(value, *(word for word in value.split() if len(word) > SHORTEST))
    for password in _USERINFO.findall(value):
        # Libraries decode the password before they use it, so both spellings can turn up in their errors.
        learn(password, unquote(password))


def learn_environment(environ: Mapping[str, str]) -> None:
    """Treat every variable that is named like a secret as secret, whether or not a file refers to it."""
    for name, value in environ.items():
        if len(value) >= _SHORTEST_UNASKED:
            learn_named(name, value)


def forget() -> None:
    """Forget all secrets. For tests, which share a process."""
    _KNOWN.__init__()  # type: ignore[misc]


def known() -> Masks:
    """The masks for all secrets so far."""
    return _KNOWN.masks


def mask(text: str) -> str:
    """A message for people, with ``***`` for every secret so far."""
    for form in _KNOWN.masks.forms:
        text = text.replace(form, "***")
    return text
