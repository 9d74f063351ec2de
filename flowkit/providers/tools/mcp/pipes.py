"""The transport to a program: each message is a line on its standard input or output.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from flowkit.errors import ProviderError
from flowkit.providers.process import GRACE_S, READ_BYTES, ErrorOutput, reason, stop_group
from flowkit.providers.tools.mcp.bounds import TOO_LONG, Lines, MessageLine

_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What a program gets of flowkit's environment. The rest may hold keys for others."""

Came = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Came], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def pipes(command: tuple[str, ...], env: Mapping[str, str]) -> AsyncIterator[Streams]:
    """The messages from and to a new process. When the body ends, the process is ended with all that it has started.

    Raises ProviderError, also into the body, if the process cannot be started or ends by itself.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    pipe, errors = subprocess.PIPE, ErrorOutput()
    try:
        process = await trio.lowlevel.open_process(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env={**inherited, **env}, start_new_session=True
        )
    except OSError as error:
        raise ProviderError(f"it cannot be started: {error.strerror}") from error
    came, read = anyio.create_memory_object_stream[Came](0)
    write, goes = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(errors.read, process)
            nursery.start_soon(_write, process, goes)
            nursery.start_soon(_read, process, came, errors)
            with read, write:
                yield read, write
            nursery.cancel_scope.cancel()
    finally:
        # Shielded: a cancelled host must not leave the program running.
        with trio.CancelScope(shield=True):
            await stop_group(process)


async def _write(process: trio.Process, goes: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None, "opened with a pipe"
    with goes, suppress(trio.BrokenResourceError):  # the process has ended, which _read notices too
        async for item in goes:
            line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await process.stdin.send_all(f"{line}\n".encode())


async def _read(process: trio.Process, came: MemoryObjectSendStream[Came], errors: ErrorOutput) -> None:
    assert process.stdout is not None, "opened with a pipe"
    lines = Lines()
    with came:
        while data := await process.stdout.receive_some(READ_BYTES):
            for line in lines.feed(bytes(data)):
                await came.send(_message(line))
        with trio.move_on_after(GRACE_S):
            await errors.ended.wait()
            await process.wait()
        ended = process.returncode is not None
        raise ProviderError(f"it {reason(process.returncode, errors.lines) if ended else 'has closed its output'}")


def _message(line: MessageLine) -> Came:
    """The message of a line. Raises ProviderError for one that is too long and does not show its id."""
    if line.whole:
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line.text, by_name=False))
        except ValueError as error:
            return error
    if (id := line.id) is None:
        raise ProviderError(TOO_LONG)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=INTERNAL_ERROR, message=TOO_LONG)))
