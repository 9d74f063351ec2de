"""The server behind ``flowkit label``: one page for one trace, on this machine only, that saves its labels.

``pieces`` makes rows for the page, and turns of what it sends back. ``label.js`` is the page's own half.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from importlib.resources import files

import numpy as np
import trio
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from flowkit.config.serve import Serve
from flowkit.errors import FlowkitError, InputError
from flowkit.files import PRIVATE, reserve, write_whole
from flowkit.printable import all_printable
from flowkit.serve.auth import Doorkeeper
from flowkit.serve.http import BadRequest, HttpAnswer, HttpExchange, HttpRequest, json_bytes, refusal
from flowkit.serve.listening import Endpoint
from flowkit.testing.turns.labels import checked, labels_of, read_labels
from flowkit.testing.turns.pieces import LabelPiece, heard_in, late_us, pieces_of, turns_of
from flowkit.trace.audio import read_sound
from flowkit.trace.reader import Trace

IDLE_S = 30 * 60
_LONGEST_S = 120
"""The longest sound that is sent at once."""
_MINE = '"turns"'
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_PIECES = TypeAdapter(tuple[LabelPiece, ...])
_HEADERS = (
    # What was said is data: nothing but the page's own script is run.
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
)


class LabelServer:
    """Shows the user's speech in a trace and saves its labels. `labels` is their file.

    Raises TraceError; InputError if the trace has no speech of the user, or there are labels that cannot be read; OutputError if
    labels cannot be written there.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace.path
        self.labels = labels_of(trace.path)
        heard = heard_in(trace)
        if not heard:
            raise InputError(f"{trace.path.name}: the user says nothing in it, so there is nothing to label")
        known = read_labels(self.labels) if self.labels.exists() else None
        self.pieces = list(pieces_of(known.turns, heard)) if known and known.turns else heard
        # The page shows the turns alone. What else the file says stays.
        self._kept = known.model_dump(mode="json", exclude={"turns"}, exclude_defaults=True) if known else {}
        reserve(self.labels, [self.trace], mine=_MINE)
        self._late_us = late_us(trace)
        self._rate_hz = trace.head.rate_hz
        self._sound, self._notice = _sound_of(trace)
        self._door = Doorkeeper(Serve(), "127.0.0.1")
        self._idle = trio.CancelScope()
        self._over = trio.Event()

    async def run(self, port: int, ready: Callable[[str], None]) -> bool:
        """Serve until the page says that all is done, or nothing was asked for half an hour. Returns whether it said so.

        `ready` is called with the page's URL. Raises UsageError if the port cannot be listened on.
        """
        endpoint = Endpoint(port=port)
        listeners = await endpoint.listeners()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.serve_listeners, self._connection, listeners, handler_nursery=nursery))
            ready(endpoint.url(listeners[0].socket.getsockname()[1]) + "/")
            self._asked()
            with self._idle:
                await self._over.wait()
            nursery.cancel_scope.cancel()
        return self._over.is_set()

    def _asked(self) -> None:
        self._idle.deadline = trio.current_time() + IDLE_S

    async def _connection(self, stream: trio.SocketStream) -> None:
        try:
            await self._serve(HttpExchange(stream))
        except _GONE:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, http: HttpExchange) -> None:
        try:
            while (request := await http.request()) is not None:
                self._asked()
                answer = self.answer(request)
                going_on = await http.answer(answer)
                # Not before the answer is sent, or the page would not know.
                if request.path == "/done" and answer.status == 200:
                    self._over.set()
                if not going_on:
                    return
        except BadRequest as error:
            await http.answer(error.answer)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """The answer to one request."""
        if (refused := self._door.stranger(request)) is not None:
            return refused
        if not any(path == request.path for _, path in _ROUTES):
            return refusal(404, f"There is nothing at {request.path[:80]!r}.", "not_found")
        handler = _ROUTES.get((request.method, request.path))
        if handler is None:
            return refusal(405, f"{request.path} does not take {request.method[:20]!r}.", "method_not_allowed")
        return handler(self, request)

    def shown(self, request: HttpRequest) -> HttpAnswer:
        """What the page shows."""
        pieces = [piece.model_dump() for piece in self.pieces]
        told = {"name": self.trace.name, "file": self.labels.name, "notice": self._notice, "pieces": pieces}
        return HttpAnswer(200, json_bytes(all_printable({**told, "sound": self._sound is not None})))

    def sound(self, request: HttpRequest) -> HttpAnswer:
        """A part of the recorded input, as WAV."""
        try:
            since, until = (round(float(request.query[name]) * 1_000_000) for name in ("from", "to"))
        except (KeyError, ValueError, OverflowError):
            return refusal(400, "Give from and to in seconds.", "invalid_value")
        if self._sound is None:
            return refusal(404, "The trace has no sound.", "not_found")
        if not 0 <= until - since <= _LONGEST_S * 1_000_000:
            return refusal(400, f"to must come after from, by at most {_LONGEST_S} s.", "invalid_value")
        first, last = (max(0, at - self._late_us) * self._rate_hz // 1_000_000 for at in (since, until))
        return HttpAnswer(200, _wav(self._sound[first:last], self._rate_hz), "audio/wav")

    def save(self, request: HttpRequest) -> HttpAnswer:
        """Check the pieces that the page sends, and save their turns."""
        try:
            pieces = _PIECES.validate_python(json.loads(request.body))
            turns = checked({"turns": turns_of(pieces)}, self.labels.name).turns
            lines = (json.dumps(turn.model_dump(exclude_defaults=True), ensure_ascii=False) for turn in turns)
            kept = "".join(f",\n{json.dumps(key)}: {json.dumps(value)}" for key, value in self._kept.items())
            text = '{"turns": [\n' + ",\n".join(lines) + f"\n]{kept}}}\n"
            write_whole(self.labels, text, inputs=[self.trace], mode=PRIVATE, mine=_MINE)
        except ValidationError as error:
            first = error.errors()[0]
            return refusal(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}", "invalid_value")
        except (ValueError, RecursionError):
            return refusal(400, "The body is not JSON.", "invalid_json")
        except InputError as error:
            return refusal(400, str(error), "invalid_value")
        except FlowkitError as error:
            return refusal(503, str(error), "not_saved")
        self.pieces = list(pieces)
        return HttpAnswer(200, json_bytes({"turns": len(turns)}))

    def done(self, request: HttpRequest) -> HttpAnswer:
        """The person is done."""
        return HttpAnswer(200, b"{}")


def _file(package: str, name: str, type: str) -> Callable[[LabelServer, HttpRequest], HttpAnswer]:
    def handler(server: LabelServer, request: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, (files(package) / name).read_bytes(), f"{type}; charset=utf-8", _HEADERS)

    return handler


_ROUTES: dict[tuple[str, str], Callable[[LabelServer, HttpRequest], HttpAnswer]] = {
    ("GET", "/"): _file("flowkit.testing.turns", "label.html", "text/html"),
    ("GET", "/label.js"): _file("flowkit.testing.turns", "label.js", "text/javascript"),
    ("GET", "/label.css"): _file("flowkit.testing.turns", "label.css", "text/css"),
    ("GET", "/report.css"): _file("flowkit.report", "page.css", "text/css"),
    ("GET", "/labels"): LabelServer.shown,
    ("POST", "/labels"): LabelServer.save,
    ("GET", "/sound"): LabelServer.sound,
    ("POST", "/done"): LabelServer.done,
}


def _sound_of(trace: Trace) -> tuple[NDArray[np.int16] | None, str]:
    """The recorded input, or why there is none."""
    sound = next((one for one in (trace.end.sounds if trace.end else ()) if one.role == "input"), None)
    if sound is None:
        return None, "The trace has no sound to play."
    try:
        return read_sound(trace.path, sound), ""
    except FlowkitError as error:
        return None, str(error)


def _wav(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()
