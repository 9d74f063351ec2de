"""Parses the chunks of a streamed chat completion, without I/O.

Groq's library ends its stream without an error when the connection breaks, and ignores ``x_groq.error``. So a reply
counts as complete only if it has a ``finish_reason``. Servers report an error in the middle of a stream in three forms;
all become a ``CloudError``. https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.messages import ToolCall, Usage
from flowkit.providers.cloud.faults import CloudError, Trouble, of_status, schema, too_long
from flowkit.providers.cloud.keys import body_message
from flowkit.providers.cloud.text import Characters, json_object

DONE = "[DONE]"
_BROKEN_OFF = "the reply broke off: the stream ended without a finish_reason"
_TROUBLE = {"rate_limit_exceeded": Trouble.LIMIT, "invalid_api_key": Trouble.AUTH, "model_not_found": Trouble.REQUEST}


class Events:
    """Splits a byte stream into server-sent events: (event, data) pairs.

    The bytes may be split anywhere, even inside a character. Lines end with LF, CR LF or CR.
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Add bytes. Returns the events that are now complete. Raises CloudError (protocol) for a line over 1 MiB."""
        data = self._rest + data
        held = 1 if data.endswith(b"\r") else 0  # LF may follow
        lines = data[: len(data) - held].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + data[len(data) - held :]
        # A server that never ends a line would fill the memory.
        if len(self._rest) > _LONGEST_LINE:
            raise schema(f"a line of the stream is longer than {_LONGEST_LINE} bytes")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> tuple[str, str] | None:
        if not line:
            event, data = self._event, "\n".join(self._data)
            self._event, self._data = "", []
            return (event, data) if data else None
        # Decoded by lines: the stream may split a character anywhere, but no line does.
        name, _, value = line.decode(errors="replace").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.strip()
        return None


_LONGEST_LINE = 2**20


@dataclass(slots=True)
class Completion:
    """One reply, as far as it has come.

    `finish` is its finish_reason, or empty. `usage` is the server's count of tokens. `done`: the stream has ended.
    `empty`: neither a tool call nor text has come but white space. `reasoned`: the server sends reasoning separately.
    `calls`: id, name and arguments of each tool call, by its index, as far as they have come.
    """

    finish: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    done: bool = False
    empty: bool = True
    reasoned: bool = False
    calls: dict[int, list[str]] = field(default_factory=dict)
    _characters: Characters = field(default_factory=Characters)

    def take(self, event: str, data: str) -> str:
        """Take an event. Returns the text that it adds, which may be empty.

        Raises CloudError for an error in the stream and for data that is not a chunk.
        """
        if data.startswith(DONE):
            self.done = True
            return self._characters.rest()
        chunk = json_object(data)
        if event == "error" or chunk.get("error"):
            raise _in_stream(chunk)
        x_groq = chunk.get("x_groq") or {}
        if isinstance(x_groq, dict) and x_groq.get("error"):
            raise _in_stream(x_groq)
        usage = chunk.get("usage") or (x_groq.get("usage") if isinstance(x_groq, dict) else None)
        if isinstance(usage, dict):
            self.usage = usage
        return self.text_of(chunk)

    def text_of(self, chunk: Mapping[str, Any]) -> str:
        """Take a chunk. Returns the text that it adds. Raises CloudError for what is not a chunk."""
        choices = chunk.get("choices")
        # The chunk with the usage has none, and some servers send empty ones to keep the connection open.
        if choices is None or choices == []:
            if choices is None and "usage" not in chunk and "x_groq" not in chunk:
                raise schema("a chunk of the reply has no choices")
            return ""
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise schema("a chunk of the reply has no choice in its choices")
        self.finish = choice.get("finish_reason") or self.finish
        delta = choice.get("delta")
        # Other keys of a delta are not spoken: reasoning_content, reasoning, thinking.
        text = None
        if isinstance(delta, dict):
            text = _parts_text(delta.get("content"))
            self.reasoned = self.reasoned or bool(delta.get("reasoning_content") or delta.get("reasoning"))
            self._call(delta.get("tool_calls") or ())
        if text is not None and not isinstance(text, str):
            raise schema(f"the reply's content is not a str but {type(text).__name__}")
        joined = self._characters.join(text) if text else ""
        if joined.strip():
            self.empty = False
        return joined

    def _call(self, deltas: Any) -> None:
        """Pieces of tool calls. Some servers repeat a call's name with each piece. Others send whole calls, all with
        index 0 or without one; then a new id begins a new call."""
        for place, piece in enumerate(deltas if isinstance(deltas, (list, tuple)) else [deltas]):
            function = piece.get("function") or {} if isinstance(piece, dict) else None
            if not isinstance(function, dict):
                raise schema("a piece of a tool call is no object")
            index = piece.get("index")
            at = index if isinstance(index, int) else place
            id, name, arguments = (
                part or "" for part in (piece.get("id"), function.get("name"), function.get("arguments"))
            )
            # Some servers send the arguments as an object and not as text.
            if isinstance(arguments, dict):
                arguments = json.dumps(arguments)
            if not all(isinstance(part, str) for part in (id, name, arguments)):
                raise schema("a piece of a tool call is no text")
            if name and id and self.calls.get(at, [id])[0] not in ("", id):
                at = next((n for n, call in self.calls.items() if call[0] == id), max(self.calls) + 1)
            call = self.calls.setdefault(at, ["", "", ""])
            call[0], call[1] = call[0] or id, call[1] or name
            call[2] += arguments
            self.empty = False

    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of a whole reply, in order."""
        return [ToolCall(*call) for _, call in sorted(self.calls.items())]

    def check(self) -> None:
        """Call it at the end of the stream. Raises CloudError if the reply is incomplete or empty."""
        if not self.finish:
            raise CloudError(Trouble.NETWORK, _BROKEN_OFF)
        if self.empty:
            raise CloudError(Trouble.EMPTY, f"the reply is empty (finish_reason {self.finish})")


def usage_of(counted: Mapping[str, Any]) -> Usage | None:
    """A server's own count. None if it has none.

    https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
    """
    asked, said = count_of(counted.get("prompt_tokens")), count_of(counted.get("completion_tokens"))
    if asked is None or said is None:
        return None
    details = counted.get("prompt_tokens_details")
    cached = count_of(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return Usage(input_tokens=asked, cached_tokens=min(cached or 0, asked), output_tokens=said)


def count_of(value: Any) -> int | None:
    """A count of tokens; None for anything else."""
    # A server may answer anything, and a trace holds no larger numbers.
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None


_MOST_TOKENS = 2**31


def _parts_text(content: Any) -> Any:
    """The content of a delta. If it is a list of parts, as from Mistral's reasoning models, the text of the text
    parts."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _in_stream(body: Mapping[str, Any]) -> CloudError:
    """The error for a chunk that reports one instead of text."""
    inner = body.get("error")
    details = inner if isinstance(inner, dict) else {}
    said = body_message(dict(body)) or "an error without a message"
    status = details.get("status_code") or details.get("code")
    # A `code` need not be an HTTP status.
    if isinstance(status, int) and 400 <= status < 600:
        return of_status(status, said)
    trouble = _TROUBLE.get(str(details.get("code")), Trouble.SERVER)
    if too_long(f"{details.get('code')} {details.get('type')} {said}"):
        trouble = Trouble.LENGTH
    return CloudError(trouble, f"the reply broke off: {said}")
