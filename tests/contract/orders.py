"""An MCP server with the official SDK, as a program. It speaks over its pipes, or HTTP on an inherited socket.

python orders.py [SOCKET]
"""

import os
import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("orders")


@server.tool()
async def search_orders(name: str, context: Context) -> str:  # type: ignore[type-arg]
    """Look up a customer's orders."""
    meta = dict(context.request_context.meta or {})
    return f"{name} has 2 orders, says {os.getpid()}, for {meta['flowkit/idempotency-key']}"


@server.tool(name="env.list")
async def env_list() -> list[str]:
    """The environment."""
    return sorted(f"{name}={value}" for name, value in os.environ.items() if name.isupper())


@server.tool()
async def hang() -> str:
    """Takes for ever, and says in its standard error that it was cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        print("cancelled", file=sys.stderr, flush=True)
    raise AssertionError("it was cancelled")


@server.tool()
async def die() -> str:
    """Ends the process."""
    print("out of order", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
async def much() -> str:
    """Has a result of 10 MB."""
    return "x" * 10_000_000


@server.tool()
async def fail() -> str:
    """Raises an error."""
    raise ValueError("no such order")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        app = server.streamable_http_app()
        uvicorn.Server(uvicorn.Config(app)).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    else:
        server.run("stdio")
