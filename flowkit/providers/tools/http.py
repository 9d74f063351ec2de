"""HTTP requests as tools."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError, ProviderMissing
from flowkit.providers.cloud.client import let_go
from flowkit.providers.tools.functions import ToolContext
from flowkit.tools import PLACE, Effects, Tool, ToolSpec

if TYPE_CHECKING:
    import httpx

INSTALL = "pip install 'flowkit-voice[cloud]'"
LONGEST = 64_000
"""Bytes of an answer that are read."""
_REDIRECTS = 5
_DOTS = frozenset({".", ".."})
"""Parts of a path that mean another one, and that cannot be percent-encoded."""
_IN_QUERY = frozenset({"GET", "DELETE"})


class Request:
    """A request that is a tool. Raises ProviderMissing without the HTTP library."""

    stoppable = True

    def __init__(self, tool: Tool) -> None:
        assert tool.http is not None
        try:
            import httpx
        except ImportError as error:
            raise ProviderMissing(
                f"tool {tool.title!r} makes HTTP requests, and there is no httpx", hint=INSTALL
            ) from error
        self._http, self._parameters = tool.http, tool.parameters
        # Only a request without effects may be made twice.
        self._tries = 2 if tool.effects is Effects.NONE else 1
        schema = {"type": "object", "properties": tool.parameters, "required": list(tool.parameters)}
        self.spec = ToolSpec(tool.title, tool.description, {**schema, "additionalProperties": False})
        # Redirects are followed in `_answer`, which takes the file's headers away for another server.
        self._client = httpx.AsyncClient(timeout=tool.timeout / US_PER_S, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def run(self, arguments: str, context: ToolContext) -> str:
        """Ask. Raises ValueError for arguments that do not fit, ProviderError for an answer that is an error."""
        import httpx

        given = _fitting(self._parameters, arguments)
        request = self._request(given, context)
        for left in reversed(range(self._tries)):
            try:
                return await self._answer(request)
            except httpx.HTTPError as error:
                if not left:
                    raise ProviderError(f"no answer: {type(error).__name__}: {error}") from error
        raise AssertionError("tries are at least one")

    def _request(self, given: dict[str, Any], context: ToolContext) -> httpx.Request:
        """The request: arguments in the address are percent-encoded, so that none can change where it goes."""
        import httpx

        placed = set(PLACE.findall(self._http.url))
        url = PLACE.sub(lambda found: quote(_plain(given[found[1]]), safe=""), self._http.url)
        if not _DOTS.isdisjoint(url.partition("?")[0].split("/")):
            raise ValueError("The arguments do not fit: none can be . or .. here")
        rest = {name: value for name, value in given.items() if name not in placed}
        headers = {"idempotency-key": context.key, **self._http.headers}
        if self._http.method in _IN_QUERY:
            asked = httpx.URL(url).copy_merge_params({name: _plain(value) for name, value in rest.items()})
            return self._client.build_request(self._http.method, asked if rest else url, headers=headers)
        return self._client.build_request(self._http.method, url, json=rest, headers=headers)

    async def _answer(self, request: httpx.Request) -> str:
        """The answer's text, at most `LONGEST` bytes of it. To another server no header of the file goes along."""
        for _ in range(_REDIRECTS):
            response = await self._client.send(request, stream=True)
            stream = response.aiter_bytes()
            try:
                after = response.next_request
                if after is None:
                    return _text(response, await _read(stream))
            finally:
                await let_go(response, stream)
            if _server(after.url) != _server(request.url):
                for name in self._http.headers:
                    after.headers.pop(name, None)
            request = after
        raise ProviderError(f"more than {_REDIRECTS} redirects")


def _server(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _read(stream: AsyncIterator[bytes]) -> bytes:
    read = b""
    async for piece in stream:
        read += piece
        if len(read) > LONGEST:
            break
    return read[:LONGEST]


def _text(response: httpx.Response, read: bytes) -> str:
    text = read.decode(response.encoding or "utf-8", errors="replace")
    if response.is_error:
        raise ProviderError(f"HTTP {response.status_code}: {text[:200]}")
    return text


def _fitting(parameters: dict[str, Any], arguments: str) -> dict[str, Any]:
    """The arguments, if they are those that are declared. Raises ValueError."""
    given: dict[str, Any] = json.loads(arguments or "{}")
    wrong = [f"{name} is missing" for name in parameters if name not in given]
    wrong += [f"there is no {name}" for name in given if name not in parameters]
    for name, value in given.items():
        types = _TYPES.get(parameters.get(name, {}).get("type"), ())
        # In Python a bool is an int too, in JSON Schema it is not.
        if types and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            wrong.append(f"{name} is no {parameters[name]['type']}")
    if wrong:
        raise ValueError("The arguments do not fit: " + "; ".join(wrong))
    return given


_TYPES: dict[Any, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
