"""Which values are secret, in every form, and in text that comes in pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config import load
from flowkit.secrets import Masks, is_secret_name, known, learn, learn_named, mask, masked

CANARY = 'sk-Ca"na\\ry+4711/é=?'


@pytest.mark.parametrize(
    "name",
    ["GROQ_API_KEY", "apiKey", "api-key", "X-Auth-Token", "PASSWORD", "dbPasswd",
     "Authorization", "SECRET_KEY_BASE", "cookies", "HF_TOKEN",
     "AWS_SECRET_ACCESS_KEY", "credentials", "Bearer"],
)  # fmt: skip
def test_a_name_that_says_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "author", "KEYBOARD", "monkey", "max_tokens",
     "min_tokens", "first_token_timeout", "per_token",
     "TOKENIZERS_PARALLELISM", "tokens", "compass", "PASSENGER", "authority", "XAUTHORITY", "stop_token", "secretary",
     "PWD", "OLDPWD", "HOME", ""],
)  # fmt: skip
def test_a_name_that_does_not(name: str) -> None:
    assert not is_secret_name(name)


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def url_base64_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda s: json.dumps(s),
    "JSON as it is": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"text": s})),
    "JSON in JSON as it is": lambda s: json.dumps(json.dumps(s, ensure_ascii=False), ensure_ascii=False),
    "URL": lambda s: f"https://x/?key={quote(s, safe='')}&y",
    "path": lambda s: f"https://x/{quote(s)}",
    "form": lambda s: f"key={quote_plus(s)}&y",
    **{
        f"Base64 behind {n} bytes": lambda s, n=n: base64.b64encode(b"u" * n + s.encode() + b"more").decode()
        for n in range(7)
    },
    **{
        f"URL-safe Base64 behind {n} bytes": lambda s, n=n: base64.urlsafe_b64encode(b"u" * n + s.encode()).decode()
        for n in range(3)
    },
    "Basic": lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_found_and_keeps_its_length(form: Callable[[str], str]) -> None:
    masks = Masks([CANARY])
    text = form(CANARY)
    shown = masks(f"before {text} behind")
    assert len(shown) == len(text) + 14
    assert shown.startswith("before ")
    for length in range(6, len(CANARY) + 1):
        for at in range(len(CANARY) - length + 1):
            assert form(CANARY[at : at + length]).strip('"=\\') not in shown
    assert "Ca" not in shown


@given(st.text(min_size=6, max_size=30).filter(str.strip), st.data())
def test_whatever_the_pieces_the_secret_does_not_come_together(secret: str, data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=8)) + secret + data.draw(st.text(max_size=8))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stream = Masks([secret]).pieces()
    shown = [stream(piece) for piece in pieces]
    assert [len(piece) for piece in shown] == [len(piece) for piece in pieces]
    assert secret not in "".join(shown)
    assert secret not in Masks([secret])(text)


def test_a_key_said_in_pieces_leaves_three_characters() -> None:
    stream = Masks(["sk-live-Abc123"]).pieces()
    said = [stream(piece) for piece in ("Your key is s", "k-", "li", "ve", "-Ab", "c123", ". Skip ", "sk", "-ate.")]
    assert said == ["Your key is s", "k-", "xx", "xx", "-Xx", "x000", ". Skip ", "sk", "-ate."]


def test_what_is_masked_keeps_its_form_and_nothing_else() -> None:
    assert masked("sk-Ab12.de") == "xx-Xx00.xx"
    assert masked("!a!!@@##") == "xxxxxxxx"
    assert masked("xxxxxx") == "yyyyyy"
    assert masked("000-000") == "yyyyyyy"


def test_what_is_learnt_is_masked_from_then_on() -> None:
    assert mask("hunter-22") == "hunter-22"
    learn("hunter-22", "short")
    assert mask("hunter-22 short") == "*** short"
    assert known()("hunter-22 short") == "xxxxxx-00 short"
    learn_named("headers.Authorization", "Bearer abcdef-77")
    assert mask("it is abcdef-77") == "it is ***"
    for name, value in (
        ("token", "900ms"),
        ("api_key", 4711471147),
        ("author", "Jane Austen"),
        ("max_tokens", "1234567"),
    ):
        learn_named(name, value)
    assert mask("900ms Jane Austen 1234567") == "900ms Jane Austen 1234567"
    learn_named("base_url", "https://me:pass-word@host:80/x?a=me@b")
    assert mask("https://me:pass-word@host:80/x") == "https://me:***@host:80/x"


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("MY_API_KEY", "sk-abcdefgh", True),
        ("DB_PASSWORD", "correct horse", True),
        ("HTTPS_PROXY", "http://me:hunter22@proxy:80", True),
        ("KEY", "yes", False),
        ("GIT_AUTHOR_NAME", "Paula Example", False),
        ("KEYBOARD_LAYOUT", "de-latin1-nodeadkeys", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("SESSION_TOKEN_LIMIT", "unlimited", False),
    ],
)
def test_a_variable_that_no_file_refers_to_is_secret_by_its_name(name: str, value: str, is_secret: bool) -> None:
    text = "flowkit: 1\nstages: [{kind: gate}, {kind: llm, provider: canned}, {kind: tts, provider: print}]\n"
    load("p.yaml", text=text, environ={name: value})
    shown = mask(f"It is {value}.")
    assert (shown != f"It is {value}.") is is_secret


def test_the_asterisks_of_a_recorded_configuration_are_no_secret() -> None:
    learn("*" * 10, "canary-4711")
    assert mask("canary-4711 " + "*" * 10) == "*** " + "*" * 10
