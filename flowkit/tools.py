"""The tools that a pipeline file declares, and how they are described to a model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from flowkit import options as opt
from flowkit.messages import Called, ToolStatus


class OnInterrupt(StrEnum):
    """What an interruption of the reply does to a running tool."""

    KEEP = "keep"
    CANCEL = "cancel"


class Effects(StrEnum):
    """What a call may change."""

    ONCE = "once"
    NONE = "none"


class SayAfter(opt.Options):
    """What is said when a tool takes long."""

    after: opt.Duration = opt.us("700ms")
    """How long the tool may take before anything is said."""
    text: str = Field(min_length=1)
    """What is said, once a call. The model does not get it."""


class Http(opt.Options):
    """A request that is the tool. `{name}` in `url` stands for an argument, percent-encoded."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """Arguments that are not in `url` go into the query of GET and DELETE, and else into a JSON body."""
    url: str = Field(pattern=r"^https?://")
    """Where to ask."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of the request, such as {authorization: "Bearer ${KEY}"}. They are not sent on to another host."""


_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
_NO_NAME, _LONGEST_NAME = re.compile(r"[^A-Za-z0-9_-]"), 64
_OF_SERVER = ("name", "description", "parameters")
_FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
PLACE = re.compile(r"\{(\w+)\}")
"""Where an argument stands in the address of a request."""
_WAYS = ("call", "http", "mcp", "builtin")


class Mcp(opt.Options):
    """A server of the Model Context Protocol: a program that flowkit starts (`command`), or one at a `url`."""

    command: tuple[str, ...] = ()
    """The program with its arguments. It runs as long as a session needs it."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the program's environment, such as {API_KEY: "${API_KEY}"}. It gets few of flowkit's own, such as PATH."""
    url: str | None = Field(None, pattern=r"^https?://")
    """The address of a server with the transport Streamable HTTP."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of the requests, such as {authorization: "Bearer ${KEY}"}. They are not sent on to another host."""

    @model_validator(mode="after")
    def _one_way(self) -> Mcp:
        if bool(self.command) is bool(self.url):
            raise ValueError("a server of tools has either a command or a url")
        if (self.env and self.url) or (self.headers and self.command):
            raise ValueError("env belongs to a command, and headers belong to a url")
        return self

    @property
    def title(self) -> str:
        """How messages call it. Arguments and queries are left out, because they may hold a key."""
        return f"mcp server {(self.url or self.command[0]).partition('?')[0]}"


class Tool(opt.Options):
    """One tool. It is a Python function (`call`), a request (`http`), or built in. With `mcp` it stands for a server's tools."""

    name: str | None = Field(None, pattern=_NAME)
    """What the model calls it by; a function's own name by default. Tools of a server have the server's names."""
    call: str | None = Field(None, pattern=_FUNCTION)
    """A function `package.module:function`, sync or async (Trio). The model gets its signature and docstring."""
    http: Http | None = None
    """A request."""
    mcp: Mcp | None = None
    """A server that has tools. All other keys hold for each of its tools."""
    only: tuple[str, ...] = ()
    """Which of the server's tools the model gets; by default all."""
    builtin: Literal["end_session"] | None = None
    """`end_session` lets the model end the session."""
    description: str = ""
    """What the tool does, for the model; a function's docstring by default."""
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The arguments as JSON Schema, by name, for http: {city: {type: string, description: City name}}. All are required."""
    timeout: opt.Duration = opt.us("10s")
    """How long a call may take. After that its outcome is a timeout."""
    say_after: SayAfter | None = None
    """Something to say when a call takes long."""
    on_interrupt: OnInterrupt = OnInterrupt.KEEP
    """What happens when the user interrupts: `keep` lets it finish, and the model gets the outcome with its next request."""
    effects: Effects = Effects.ONCE
    """`once`: it may change the world, so a question that was interrupted is not asked again. `none`: it only looks something
    up, so the question is asked again, and a request that got no answer is sent once more."""
    after_playout: bool = True
    """Whether end_session waits until the reply has been heard."""

    @model_validator(mode="after")
    def _one_way(self) -> Tool:
        ways = [way for way in _WAYS if getattr(self, way) is not None]
        if len(ways) != 1:
            found = " and ".join(ways) or "none of them"
            raise ValueError(f"a tool is one of call, http, mcp and builtin; here is {found}")
        if self.mcp is None and self.only:
            raise ValueError("only chooses among the tools of an mcp server")
        if self.mcp is not None and (given := [key for key in _OF_SERVER if getattr(self, key)]):
            raise ValueError(f"an mcp server has tools with a {given[0]} of their own, so there can be none here")
        if self.http is not None and self.name is None:
            raise ValueError("an http tool needs a name")
        unknown = [name for name in PLACE.findall(self.http.url) if name not in self.parameters] if self.http else []
        if unknown:
            raise ValueError(f"url has {{{unknown[0]}}}, which is not in parameters")
        if self.say_after is not None and self.say_after.after >= self.timeout:
            raise ValueError("say_after comes after the tool's timeout, so it would never be said")
        return self

    @property
    def title(self) -> str:
        """What the model calls it by. Empty for a server."""
        if self.name:
            return self.name
        if self.call:
            return self.call.rpartition(":")[2]
        return self.builtin or ""

    @property
    def of_client(self) -> bool:
        """Whether a client runs it. No file can declare such a tool."""
        return all(getattr(self, way) is None for way in _WAYS)

    @property
    def titles(self) -> tuple[str, ...]:
        """What the model calls it by, or those of the server's tools that are named here."""
        return tuple(map(plain_name, self.only)) if self.mcp is not None else (self.title,)


def unequal(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """The tools, whose names must differ. Raises ValueError."""
    seen: set[str] = set()
    for title in (title for tool in tools for title in tool.titles):
        if title in seen:
            raise ValueError(f"there are two tools with the name {title!r}")
        seen.add(title)
    if len([tool for tool in tools if tool.mcp is not None and not tool.only]) > 1:
        # The names are not known before a server has started. With two such servers, a call's timeout would not be known.
        raise ValueError("only one mcp server can have all its tools called; name those of the others with `only`")
    return tools


class Tools(opt.Options):
    """The tools of a pipeline."""

    tools: Annotated[tuple[Tool, ...], AfterValidator(unequal)] = ()
    """What the model may call."""
    _allowed: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def allowed(self) -> frozenset[str]:
        """Modules that may be imported for these tools, and programs that may be started. Their host says so, never a file."""
        return self._allowed

    def allowing(self, names: Iterable[str]) -> Tools:
        """The same tools, with these modules and programs allowed besides."""
        allowing = self.model_copy()
        allowing._allowed = self._allowed.union(names)
        return allowing


def tool_named(tools: Iterable[Tool], name: str) -> Tool | None:
    """The tool that the model calls `name`. Any other name may be one of the server whose tools are not named here."""
    known = list(tools)
    rest = (tool for tool in known if tool.mcp is not None and not tool.only)
    return next((tool for tool in known if name in tool.titles), next(rest, None))


CLIENT_TIMEOUT_US = 600_000_000
"""How long a client may take for a call. The people at its other end may have to agree first."""


def client_tool(name: str) -> Tool:
    """A tool that a client runs."""
    # Unchecked, because a file must not declare one.
    return Tool.model_construct(name=name, timeout=CLIENT_TIMEOUT_US)


def names_of(tools: Iterable[Tool]) -> tuple[str, ...] | None:
    """The names that a model may call. None if a server knows more."""
    known = list(tools)
    if any(tool.mcp is not None and not tool.only for tool in known):
        return None
    return tuple(title for tool in known for title in tool.titles)


class ToolSpec(NamedTuple):
    """A tool as it is described to a model. `parameters`: the JSON Schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


def tools_of(text: str) -> tuple[ToolSpec, ...]:
    """The tools that a client offers, from their JSON text (``Instruct.tools``)."""
    return tuple(ToolSpec(tool["name"], tool["description"], tool["parameters"]) for tool in json.loads(text or "[]"))


def content_of(call: Called) -> str:
    """A call's outcome as the model reads it."""
    if call.status == ToolStatus.RUNNING:
        return "It is still running. Its outcome will follow."
    return call.content if call.status == ToolStatus.RESULT else f"{call.status}: {call.content}"


def plain_name(name: str) -> str:
    """The name as models may have it: servers refuse a request with any other character, or with a longer name."""
    return _NO_NAME.sub("_", name)[:_LONGEST_NAME] or "_"


def arguments_of(call: Called) -> str:
    """The call's arguments as a JSON object. Servers refuse a history with arguments that are none."""
    try:
        fits = isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        fits = False
    return call.arguments if fits else "{}"
