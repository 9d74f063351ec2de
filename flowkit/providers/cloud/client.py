"""A chat server as a process knows it: the key, and a pool of connections that all its sessions share.

Groq's official async client makes the requests, natively under Trio. What its errors mean is said here, in flowkit's vocabulary.
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
"""How long an idle connection is kept for the next turn; httpx lets go of it after 5 s."""
_MOST, _IDLE = 200, 20
"""Connections of a process to one server, and how many of them may wait for the next turn."""
_SILENT_S = 60.0
"""Silence is judged by a call's own deadlines, which know what is useful; this is the last resort."""
_CLOSE_S = 1.0


class Client:
    """A server at `base_url`, asked with `key`. Made in a thread: the libraries take up to two seconds to import."""

    def __init__(self, key: Secret, base_url: str) -> None:
        import httpx
        from groq import AsyncGroq

        self.key = key
        limits = httpx.Limits(max_connections=_MOST, max_keepalive_connections=_IDLE, keepalive_expiry=_KEPT_S)
        http = httpx.AsyncClient(limits=limits, follow_redirects=True, event_hooks={"request": [_without_generator]})
        self._groq = AsyncGroq(
            api_key=key.get_secret_value() or "none", base_url=base_url.rstrip("/"), max_retries=0, http_client=http
        )

    async def post(self, path: str, body: Mapping[str, Any], connect_s: float) -> httpx.Response:
        """Ask; returns when the headers are there, for the body to be read piece by piece. Raises CloudError."""
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
        """The JSON at `path`. Raises CloudError."""
        import httpx

        with _translated():
            return await self._groq.get(
                path, cast_to=object, options={"timeout": httpx.Timeout(_SILENT_S, connect=connect_s)}
            )

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[Client]:
        """Close all connections behind the body."""
        try:
            yield self
        finally:
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
    except ValueError as exc:
        raise schema(f"an answer that is no JSON: {exc}") from exc


class _Body:
    """A request's body as a plain iterator. httpx makes it a generator, which a call that is cancelled while it sends would
    leave behind, suspended."""

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
        """Nothing is held."""


@cache
def _body_stream() -> type[Any]:
    import httpx

    return type("BodyStream", (_Body, httpx.AsyncByteStream), {})


async def _without_generator(request: httpx.Request) -> None:
    request.stream = _body_stream()(await request.aread())


def status_fault(response: httpx.Response) -> CloudError:
    """The fault behind an error status; the library has read the body."""
    try:
        body = response.content
    except Exception:  # a body that was never read cannot be quoted
        body = b""
    headers = {name.lower(): value for name, value in response.headers.items()}
    error = of_status(response.status_code, refusal(body, headers), headers)
    if error.trouble is Trouble.REQUEST and too_long(body.decode(errors="replace")):
        error.trouble = Trouble.LENGTH  # some say so in a code or type only
    return _with_reset(error, headers)


def _with_reset(error: CloudError, headers: Mapping[str, str]) -> CloudError:
    """Where a limit was met without `retry-after`, the rate-limit headers may say when it is lifted."""
    if error.trouble is Trouble.LIMIT and error.retry_after_us is None:
        resets = [retry_after_us(headers.get(f"x-ratelimit-reset-{what}", "")) for what in ("requests", "tokens")]
        remaining = [headers.get(f"x-ratelimit-remaining-{what}") for what in ("requests", "tokens")]
        spent = [reset for reset, left in zip(resets, remaining, strict=True) if left == "0" and reset is not None]
        error.retry_after_us = max(spent, default=None)
    return error


def http_fault(exc: BaseException) -> CloudError:
    """What the transport's error means."""
    import httpx

    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_fault(cause)
        if isinstance(cause, httpx.TimeoutException):
            return CloudError(Trouble.TIMEOUT, f"nothing came in time ({type(cause).__name__})")
        if isinstance(cause, (httpx.RemoteProtocolError, httpx.DecodingError, httpx.ReadError, httpx.WriteError)):
            return CloudError(Trouble.NETWORK, f"the connection broke{': ' if str(cause) else ''}{cause}")
        cause = cause.__cause__ or cause.__context__
    return network_fault(exc)
