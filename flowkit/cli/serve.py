"""``flowkit serve``: clients talk to a pipeline over the network."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit import trust
from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import ssl

    from flowkit.config import Config


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "serve",
        help="let clients talk to a pipeline",
        description="Serve a pipeline to clients of OpenAI's Realtime protocol. SIGTERM or Ctrl-C drains: replies go on to "
        "their end, and new sessions are refused.",
    )
    parser.add_argument("file", metavar="FILE", help="the pipeline's YAML file")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 for any (default: 8080)")
    parser.add_argument("--certfile", metavar="PEM", help="serve TLS with this certificate chain")
    parser.add_argument("--keyfile", metavar="PEM", help="the certificate's key, unless it is in the same file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the file")
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of {{NAME}} in every session's prompts",
    )
    parser.add_argument(
        "--allow-tools", action="store_true", help="let the file's tools import modules and start programs"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal.

    Exit code 0: drained. 2: the address cannot be used, or a variable is unknown. 4: a model cannot be loaded.
    """
    try:
        from flowkit.serve import server
    except ModuleNotFoundError as error:
        hint = "pip install 'flowkit-voice[serve]'"
        raise UsageError(f"flowkit serve needs {error.name}, which is not installed", hint=hint) from error
    import trio

    from flowkit.config import load
    from flowkit.plan.variables import parse_variables
    from flowkit.runtime.session import alone

    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535 (got {args.port})")
    if args.allow_tools:
        trust.allow()
    config = load(args.file, overrides=args.set, environ=os.environ)
    for notice in config.notices:
        _notice(str(notice))

    async def main() -> None:
        await server.serve(
            config,
            host=args.host,
            port=args.port,
            tls=_tls(args),
            traces=_traces(config),
            variables=parse_variables(args.var),
            notice=_notice,
            ready=lambda url: print(f"serving {config.name} on {url}{server.REALTIME}", flush=True),
        )

    try:
        trio.run(main)
    except ExceptionGroup as group:
        raise alone(group) from group
    return int(ExitCode.FINE)


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tls(args: argparse.Namespace) -> ssl.SSLContext | None:
    """The TLS context, if a certificate is given. Raises UsageError."""
    import ssl

    if not args.certfile:
        if args.keyfile:
            raise UsageError("--keyfile is the key of a certificate; give --certfile too")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(args.certfile, args.keyfile)
    except OSError as error:  # also what ssl raises for a file that is none
        raise UsageError(f"the certificate cannot be read: {error.strerror or error}") from error
    return context


def _traces(config: Config) -> Callable[[], Path | None]:
    """Where each session is recorded: a share of them, under names of their own."""
    from flowkit.clock import chance
    from flowkit.trace.retention import fresh_path

    def next_trace() -> Path | None:
        return fresh_path(config.top.trace, config.name) if chance() < config.top.serve.trace.sample else None

    return next_trace
