"""An HTTP server on loopback that answers as a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import h11
import trio

Respond = Callable[[h11.Request, bytes], tuple[int, list[tuple[str, str]], bytes]]


class Server:
    """An HTTP server on loopback for one test. `seen`: target, headers and body of each request."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        await trio.serve_listeners(self._answer, [listener], task_status=task_status)

    async def _answer(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        head, body = None, b""
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some(65_536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return
        assert head is not None
        self.seen.append((head.target.decode(), {k.decode(): v.decode() for k, v in head.headers}, body))
        status, headers, answer = self.respond(head, body)
        if status:
            begun = http.send(h11.Response(status_code=status, headers=[*headers, ("connection", "close")]))
            data = http.send(h11.Data(data=answer))
            try:
                await stream.send_all((begun or b"") + (data or b"") + (http.send(h11.EndOfMessage()) or b""))
            except trio.BrokenResourceError:
                pass
        await stream.aclose()


def served(*responds: Respond, call: Callable[..., Awaitable[None]]) -> list[Server]:
    """Run `call` with servers that answer so."""
    servers = [Server(respond) for respond in responds]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for server in servers:
                await nursery.start(lambda task_status, server=server: server.serve(task_status=task_status))
            with trio.fail_after(20):
                await call(*servers)
            nursery.cancel_scope.cancel()

    trio.run(main)
    return servers
