"""``flowkit label``: a page on this machine to say when the user's turns began and ended in a recorded session."""

from __future__ import annotations

import argparse
import threading
import webbrowser
from functools import partial

from flowkit.errors import ExitCode, UsageError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "label",
        description="Say by hand when the user's turns began, paused and ended in a recorded session, for flowkit bench turns. "
        "A page in the browser shows what was heard, and plays it if the trace has sound. The labels are saved beside the trace.",
    )
    parser.add_argument("trace", metavar="TRACE", help="the trace")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)")
    parser.add_argument("--no-open", action="store_true", help="print the page's address only, and open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until the person is done, for half an hour without a request, or until Ctrl-C."""
    try:
        from flowkit.testing.turns import labelling
    except ModuleNotFoundError as error:
        hint = "pip install 'flowkit-voice[serve]'"
        raise UsageError(f"flowkit label needs {error.name}, which is not installed", hint=hint) from error
    import trio

    from flowkit.printable import one_line
    from flowkit.providers.loading import lone_error
    from flowkit.trace.reader import read_trace

    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535 (got {args.port})")
    server = labelling.LabelServer(read_trace(args.trace))
    with lone_error():
        done = trio.run(server.run, args.port, partial(_ready, opens=not args.no_open))
    if not done:
        print("nothing was asked for half an hour")
    saved = server.labels if server.labels.exists() else "nothing was saved"
    print(one_line(f"labels: {saved}"))
    return int(ExitCode.FINE)


def _ready(url: str, *, opens: bool) -> None:
    print(f"label the session at {url} (Ctrl-C ends this)", flush=True)
    if opens:
        _open(url)


def _open(url: str) -> None:
    # In a thread, because a browser for terminals would keep the server from answering it.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
