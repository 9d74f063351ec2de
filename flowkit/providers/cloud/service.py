"""Base class of providers that ask a server over HTTP: chat models, and servers of speech with OpenAI's API."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import trio

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.cloud.client import Client
from flowkit.providers.cloud.faults import CloudError
from flowkit.providers.cloud.keys import cleaned, key_of

CONNECT_S = 5.0
_NO_LIST = (404, 405, 501)
"""HTTP statuses of a server that has no list of models."""


class HttpService(Provider):
    """A provider whose model is the HTTP client of a server. A subclass sets `kind`, `name` and `variable`.

    Its options have `base_url`, `api_key` and `model`.
    """

    requires = ("groq", "httpx")
    install = "pip install 'flowkit-voice[cloud]'"
    licences: ClassVar[tuple[tuple[str, str], ...]] = (("groq", "Apache-2.0"), ("httpx", "BSD-3-Clause"))
    remote = True
    models_path: ClassVar[str] = "/models"
    """Path of the list of models, relative to the base URL."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.title = f"{self.kind} {self.name}"
        connect_us = around.connect_us
        self.connect_s = CONNECT_S if connect_us is None else connect_us / US_PER_S

    @classmethod
    def needs_key(cls, options: Any) -> bool:
        """Whether the server is known to need an API key. The key from the environment is sent only to such a
        server."""
        return True

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        cls._key(options)

    @classmethod
    def _key(cls, options: Any) -> opt.Secret:
        needed = cls.needs_key(options)
        return key_of(f"{cls.kind} {cls.name}", options.api_key, cls.variable if needed else "", needed=needed)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Client]:
        """Import the client library and open a pool of connections. Raises CloudError without a key."""
        key = cls._key(options)
        client = await trio.to_thread.run_sync(Client, key, options.base_url)
        async with client.closing():
            yield client

    @property
    def client(self) -> Client:
        """The server's client, which the sessions share."""
        client: Client = self.model
        return client

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put this provider's title in front of a CloudError of the body, and mask the key in it."""
        try:
            yield
        except CloudError as error:
            raise cleaned(error, self.title, self.client.key) from error.__cause__

    def tell(self, name: str, detail: str) -> None:
        """Record an event in the trace, unless there is nothing to say."""
        if detail:
            self.around.event(self.around.now_us(), name, f"{self.title}: {detail}")

    async def probe(self) -> str:
        """Request the list of models, to see whether the server answers, the key works and the model exists.

        Raises ProviderError.
        """
        try:
            with self.named():
                models = await self.models()
        except CloudError as error:
            if error.status in _NO_LIST:
                return f"the server answers, but has no list of models; {self.options.model} was not looked for"
            raise
        names = [model.get("id") for model in models]
        # An empty list proves nothing about the model.
        if names and self.options.model not in names:
            near = difflib.get_close_matches(self.options.model, map(str, names), n=1)
            raise ProviderError(
                f"{self.title}: the server answers, but has no model {self.options.model!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, names[:5]))}",
            )
        return f"the server answers, model {self.options.model}"

    async def models(self) -> list[dict[str, Any]]:
        """The server's list of models. Raises CloudError."""
        body = await self.client.get(self.models_path, self.connect_s)
        listed = body.get("data") if isinstance(body, dict) else None
        return [model for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
