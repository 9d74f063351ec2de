"""The values of `{{name}}` in a served session's prompts and greeting.

`flowkit serve --var` gives values for every session. A program with a token adds those of one session: in the address of the
WebSocket (``?var.name=Ann``), or in a client secret (``session.prompt.variables``, where OpenAI's protocol has them), so
that a browser cannot choose them. Those of a call stand in what Twilio has signed: the address of the webhook, or the TwiML.
A session without a value that the pipeline needs is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowkit.config import Config
from flowkit.config.problems import suggest
from flowkit.errors import UsageError
from flowkit.plan.variables import places
from flowkit.serve.auth import Caller
from flowkit.serve.http import HttpAnswer, HttpRequest, refusal

PREFIX = "var."


class ValuesRefused(Exception):
    """A session cannot have these values. `code` is the error's."""

    def __init__(self, what: str, code: str) -> None:
        super().__init__(what)
        self.code = code


def asked_for(named: Mapping[str, Any]) -> dict[str, Any]:
    """The values among the parts of an address, or the parameters of a stream: `var.name`, without the prefix."""
    return {name.removeprefix(PREFIX): value for name, value in named.items() if name.startswith(PREFIX)}


class SessionVariables:
    """Which values a pipeline needs, and those that every session has. Raises UsageError for one that it has no place for."""

    def __init__(self, config: Config, given: Mapping[str, str]) -> None:
        self._names = tuple(dict.fromkeys(place.name for place in places(config)))
        self._given = given
        for name in given:
            if name not in self._names:
                raise UsageError(f"the pipeline has no {{{{{name}}}}}", hint=suggest(name, self._names, "names"))

    def of(self, request: HttpRequest, caller: Caller) -> dict[str, str] | HttpAnswer:
        """The values of the session that a caller asks for, or why it is refused."""
        asked = asked_for(request.query)
        if asked and not caller.token:
            what = "A client secret carries its own values; the address may not give any."
            return refusal(403, what, "token_needed")
        try:
            return self.with_those({**prompt_variables(caller.session), **asked})
        except ValuesRefused as refused:
            return refusal(400, str(refused), refused.code)

    def with_those(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """The values of a session for which these are given. Raises ValuesRefused."""
        values: dict[str, Any] = {**self._given, **asked}
        for name, value in values.items():
            if name not in self._names:
                raise ValuesRefused(f"This pipeline has no {{{{{name[:80]}}}}}.", "unknown_variable")
            if not isinstance(value, str):
                raise ValuesRefused(f"The value of {name} must be a string.", "invalid_type")
        if missing := [name for name in self._names if name not in values]:
            what = f"This session needs a value for {', '.join(missing)}: add var.{missing[0]}=VALUE to the address."
            raise ValuesRefused(what, "missing_variable")
        return values


def prompt_variables(session: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values in a session object; empty where its `prompt` holds none, or asks for something else too."""
    match session.get("prompt"):
        case {"variables": dict() as variables, **others} if not others:
            return variables
    return {}


def without_variables(session: Mapping[str, Any]) -> Mapping[str, Any]:
    """The session object without the values, which no longer change once the session has begun."""
    return {name: value for name, value in session.items() if name != "prompt" or not prompt_variables(session)}
