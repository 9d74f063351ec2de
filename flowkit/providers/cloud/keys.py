"""API keys: finding them, checking them, and keeping them out of errors and traces."""

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
    """The key `given`, or else the one in the environment variable `variable`. `title` names the provider in errors.

    Raises:
        CloudError: there is no key although one is `needed`, or it has characters that a header cannot contain, such as
            the line break at the end of a file.
    """
    key = given if given is not None else SecretStr(os.environ.get(variable, "") if variable else "")
    value = key.get_secret_value()
    hint = f"set {variable}, or write api_key: ${{{variable}}} or ${{file:...}}"
    if needed and not value.strip():
        raise CloudError(Trouble.AUTH, f"{title}: the API key is not set", hint=hint)
    if value != value.strip() or not value.isascii() or not value.isprintable():
        raise CloudError(
            Trouble.AUTH, f"{title}: the API key has characters that no key has (spaces, line breaks)", hint=hint
        )
    # From now on the key is masked in all that is recorded or shown.
    learn(value)
    return key


def masked(text: str, key: SecretStr) -> str:
    """`text` with the key replaced by ``***``, in case a server or a library quoted it.

    A key of fewer than six characters is not replaced, because it would be found inside words.
    """
    value = key.get_secret_value()
    return text.replace(value, MASK) if len(value) >= _SHORTEST else text


def cleaned(error: ProviderError, title: str, key: SecretStr) -> ProviderError:
    """`error`, changed in place: its text gets `title` in front, and the key is masked."""
    error.args = (masked(f"{title}: {error}", key),)
    return error


def body_message(body: Any) -> str:
    """The message in the JSON body of an error, of any common shape: masked, on one line, at most 300 characters."""
    found = body
    for _ in range(3):
        if not isinstance(found, dict):
            break
        found = found.get("error") or found.get("message") or found.get("detail") or ""
    text = found if isinstance(found, str) else ""
    # Masked before it is cut: half a key would not be recognised.
    return mask(" ".join(text.split()))[:300]
