"""The HTTP client of a server: the API key and a pool of connections, shared by all sessions of the process.

Groq's official async client makes the requests; it supports Trio. Its exceptions are translated here into
``CloudError``. https://github.com/groq/groq-python
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import trio

from flowkit.options import Secret
from flowkit.providers.cloud.faults import CloudError, Trouble, of_status, retry_after_us, schema, too_long
from flowkit.providers.cloud.line import certificate_fault, network_fault, refusal

if TYPE_CHECKING:
    import httpx

_KEPT_S = 300.0
"""How long an idle connection is kept for the next turn. httpx's default is 5 s."""
_MOST, _IDLE = 200, 20
"""The most connections to one server, and the most idle ones."""
_SILENT_S = 60.0
"""Timeout of a read. The deadlines of a call are shorter and know what is useful, so this is only the last resort."""
_CLOSE_S, _LET_GO_S = 1.0, 0.5


class Client:
    """A client for the server at `base_url`, with the API key `key`. Make it in a thread: the imports take up to two
    seconds."""

    def __init__(self, key: Secret, base_url: str) -> None:
        import httpx
        from groq import AsyncGroq

        self.key = key
        limits = httpx.Limits(max_connections=_MOST, max_keepalive_connections=_IDLE, keepalive_expiry=_KEPT_S)
        http = httpx.AsyncClient(limits=limits, follow_redirects=True, event_hooks={"request": [_without_generator]})
        # A local server needs no key, but the library sends a header with one in any case.
        self._groq = AsyncGroq(
            api_key=key.get_secret_value() or "none", base_url=base_url.rstrip("/"), max_retries=0, http_client=http
        )

    async def post(self, path: str, body: Mapping[str, Any], connect_s: float) -> httpx.Response:
        """Send a POST request with a JSON body. Returns when the headers have come, so that the caller can stream the
        body.

        `connect_s` is the time limit for connecting, in seconds. Raises CloudError.
        """
        import groq
        import httpx

        timeout = httpx.Timeout(_SILENT_S, connect=connect_s)
        with _translated():
            response: Any = await self._groq.post(
                path,
                body=dict(body),
                cast_to=httpx.Response,
                options={"timeout": timeout},
                stream=True,
                stream_cls=groq.AsyncStream,
            )
        return response  # type: ignore[no-any-return]

    async def get(self, path: str, connect_s: float) -> object:
        """Send a GET request. Returns the parsed JSON. Raises CloudError."""
        import httpx

        with _translated():
            return await self._groq.get(
                path, cast_to=object, options={"timeout": httpx.Timeout(_SILENT_S, connect=connect_s)}
            )

    async def upload(self, path: str, fields: Mapping[str, Any], file: tuple[str, bytes], connect_s: float) -> object:
        """Send a POST request with form fields and a `file` (name and content). Returns the parsed JSON. Raises
        CloudError."""
        import httpx

        headers = {"Content-Type": "multipart/form-data"}  # in this spelling the library adds the boundary
        with _translated():
            return await self._groq.post(
                path,
                body=dict(fields),
                files={"file": file},
                cast_to=object,
                options={"timeout": httpx.Timeout(_SILENT_S, connect=connect_s), "headers": headers},
            )

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[Client]:
        """Close all connections when the body ends."""
        try:
            yield self
        finally:
            # Also after a cancellation, but a server that hangs must not hold up the end.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
                await self._groq.close()


@contextmanager
def _translated() -> Iterator[None]:
    import groq

    try:
        yield
    except groq.APIStatusError as exc:
        raise status_fault(exc.response) from exc
    except groq.APIError as exc:
        raise http_fault(exc) from exc
    # The library passes on the JSON parser's own error.
    except ValueError as exc:
        raise schema(f"an answer that is not JSON: {exc}") from exc


class _Body:
    """The body of a request as a plain iterator.

    httpx uses a generator, which stays suspended if the call is cancelled while it sends.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content

    async def aclose(self) -> None:
        """Does nothing: there is nothing to close."""


@cache
def _body_stream() -> type[Any]:
    import httpx

    return type("BodyStream", (_Body, httpx.AsyncByteStream), {})


async def _without_generator(request: httpx.Request) -> None:
    request.stream = _body_stream()(await request.aread())


def status_fault(response: httpx.Response) -> CloudError:
    """The error for a response with an error status, whose body the library has read."""
    try:
        body = response.content
    except Exception:  # the body was not read, so it cannot be quoted
        body = b""
    headers = {name.lower(): value for name, value in response.headers.items()}
    error = of_status(response.status_code, refusal(body, headers), headers)
    if error.trouble is Trouble.REQUEST and too_long(body.decode(errors="replace")):
        error.trouble = Trouble.LENGTH  # some servers say so only in a code or type
    return _with_reset(error, headers)


def _with_reset(error: CloudError, headers: Mapping[str, str]) -> CloudError:
    """If a rate limit comes without `retry-after`, take the time from the rate-limit headers."""
    if error.trouble is Trouble.LIMIT and error.retry_after_us is None:
        resets = [retry_after_us(headers.get(f"x-ratelimit-reset-{what}", "")) for what in ("requests", "tokens")]
        remaining = [headers.get(f"x-ratelimit-remaining-{what}") for what in ("requests", "tokens")]
        # Only a limit that is used up has to be waited for.
        spent = [reset for reset, left in zip(resets, remaining, strict=True) if left == "0" and reset is not None]
        error.retry_after_us = max(spent, default=None)
    return error


def http_fault(exc: BaseException) -> CloudError:
    """The error for an exception of the HTTP transport."""
    import httpx

    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_fault(cause)
        if isinstance(cause, httpx.TimeoutException):
            return CloudError(Trouble.TIMEOUT, f"the server did not answer in time ({type(cause).__name__})")
        if isinstance(cause, (httpx.RemoteProtocolError, httpx.DecodingError, httpx.ReadError, httpx.WriteError)):
            return CloudError(Trouble.NETWORK, f"the connection broke{': ' if str(cause) else ''}{cause}")
        cause = cause.__cause__ or cause.__context__
    return network_fault(exc)


async def let_go(response: httpx.Response, stream: AsyncIterator[bytes] | None = None) -> None:
    """Close the response. A complete one returns its connection to the pool; otherwise the connection is closed.

    httpx's nested generators cause a ResourceWarning if they are not run to their end. So the stream is read on in a
    cancelled scope, which unwinds them at once.
    """
    with trio.CancelScope(shield=True) as scope:
        scope.cancel()
        try:
            if stream is not None:
                async for _ in stream:
                    pass
        except Exception:  # ignored: the call has its own error by now
            stream = None
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _LET_GO_S):
        await response.aclose()


async def next_bytes(stream: AsyncIterator[bytes]) -> bytes:
    """The next bytes of the stream; empty at its end. Raises CloudError."""
    import httpx

    try:
        return await anext(stream, b"")
    except httpx.HTTPError as exc:
        raise http_fault(exc) from exc
