"""``flowkit serve``: clients talk to a pipeline over the network."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from flowkit import trust
from flowkit.errors import ExitCode, UsageError
from flowkit.plural import counted


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
    parser.add_argument(
        "--workers",
        metavar="N",
        help="number of processes that share the port (default: serve.workers of the file, or 1)",
    )
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
        from flowkit.serve import parent, server
        from flowkit.serve.listening import Endpoint
    except ModuleNotFoundError as error:
        hint = "pip install 'flowkit-voice[serve]'"
        raise UsageError(f"flowkit serve needs {error.name}, which is not installed", hint=hint) from error
    import trio

    from flowkit.config import load
    from flowkit.jobs import cores
    from flowkit.plan.variables import parse_variables
    from flowkit.runtime.session import alone

    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535 (got {args.port})")
    if args.allow_tools:
        trust.allow()
    asked = [] if args.workers is None else [f"serve.workers={args.workers}"]
    config = load(args.file, overrides=[*args.set, *asked], environ=os.environ)
    for notice in config.notices:
        _notice(str(notice))
    workers, endpoint = config.top.serve.workers, Endpoint(args.host, args.port, args.certfile, args.keyfile)
    if workers > cores():
        _notice(
            f"flowkit: {counted(workers, 'worker')} share {counted(cores(), 'core')}; more workers than cores make nothing faster"
        )

    def ready(url: str) -> None:
        print(f"serving {config.name} on {url}{server.REALTIME}\nto talk, open {url}/ in a browser", flush=True)

    async def main() -> None:
        common: dict[str, Any] = {"variables": parse_variables(args.var), "ready": ready}
        if workers > 1:
            await parent.serve(config, endpoint, allow_tools=args.allow_tools, **common)
        else:
            await server.serve(config, endpoint, notice=_notice, **common)

    try:
        trio.run(main)
    except ExceptionGroup as group:
        raise alone(group) from group
    return int(ExitCode.FINE)


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
