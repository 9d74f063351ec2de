"""API keys: where they come from, what is wrong with them, and how they are kept out of everything that people see."""

from __future__ import annotations

import os
from typing import Any

from pydantic import SecretStr

from flowkit.errors import ProviderError
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.secrets import learn, mask

MASK = "***"
_SHORTEST = 6


def key_of(title: str, given: SecretStr | None, variable: str, *, needed: bool = True) -> SecretStr:
    """The key that was given, else the one in the environment's `variable`. `title` names the provider in errors.

    Raises:
        CloudError: there is none, or it holds what cannot stand in a header (a line break at the end of a file, say).
    """
    key = given if given is not None else SecretStr(os.environ.get(variable, "") if variable else "")
    value = key.get_secret_value()
    hint = f"set {variable}, or write api_key: ${{{variable}}} or ${{file:...}}"
    if needed and not value.strip():
        raise CloudError(Trouble.AUTH, f"{title}: the API key is empty", hint=hint)
    if value != value.strip() or not value.isascii() or not value.isprintable():
        raise CloudError(
            Trouble.AUTH, f"{title}: the API key has characters that no key has (spaces, line breaks)", hint=hint
        )
    learn(value)
    return key


def masked(text: str, key: SecretStr) -> str:
    """`text` without the key, in case a server or a library quoted it. What is too short to be a key is left: it would be
    found in the middle of words."""
    value = key.get_secret_value()
    return text.replace(value, MASK) if len(value) >= _SHORTEST else text


def cleaned(error: ProviderError, title: str, key: SecretStr) -> ProviderError:
    """`error` with the provider's name in front and without the key."""
    error.args = (masked(f"{title}: {error}", key),)
    return error


def body_message(body: Any) -> str:
    """The message that an error's JSON body holds, whatever its shape; at most 300 characters."""
    found = body
    for _ in range(3):
        if not isinstance(found, dict):
            break
        found = found.get("error") or found.get("message") or found.get("detail") or ""
    text = found if isinstance(found, str) else ""
    return mask(" ".join(text.split()))[:300]
