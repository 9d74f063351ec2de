"""The page on deployments: each block is read by the program that it is for, where there is one, and names what exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowkit.cli import serve as command
from flowkit.config import load
from flowkit.runtime.gauges import Gauges, QueueDepth
from flowkit.serve.metrics import Metrics, of_workers
from flowkit.serve.server import _ROUTES
from tests.serve.support import TALK

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploying.md").read_text("utf-8")


def block(language: str, number: int = 0) -> str:
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[number])


def options(line: list[str]) -> Any:
    """What `flowkit serve` reads from a command line."""
    import argparse

    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add(parser.add_subparsers())
    return parser.parse_args(line)


def test_nginx_takes_its_block(tmp_path: Path) -> None:
    if (nginx := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")) is None:
        pytest.skip("there is no nginx")
    conf = tmp_path / "nginx.conf"
    here = "pid nginx.pid; error_log stderr; events {}\n"
    http = f"access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;{block('nginx')}"
    conf.write_text(f"{here}http {{ {http} }}".replace("listen 80", "listen 127.0.0.1:18080"))
    ran = subprocess.run([nginx, "-t", "-p", tmp_path, "-c", conf], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "warn" not in ran.stderr


def test_caddy_takes_its_block(tmp_path: Path) -> None:
    if (caddy := shutil.which("caddy")) is None:
        pytest.skip("there is no caddy")
    (tmp_path / "Caddyfile").write_text(block("caddy"))
    ran = subprocess.run([caddy, "validate", "--config", tmp_path / "Caddyfile"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_flowkit_believes_the_proxy_of_the_page() -> None:
    (proxy,) = load("talk.yaml", text=TALK + block("yaml")).top.serve.proxies
    assert f"server {proxy}:" in block("nginx")
    assert f"reverse_proxy {proxy}:" in block("caddy")
    assert "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in block("nginx")


def test_systemd_takes_its_block_and_flowkit_the_command_in_it(tmp_path: Path) -> None:
    unit = block("ini")
    (line,) = re.findall(r"^ExecStart=\S+/flowkit (.*)$", unit, re.MULTILINE)
    assert options(shlex.split(line)).port == 8080
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("there is no systemd-analyze")
    # The program and the user of the page do not exist here.
    unit = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", unit, flags=re.MULTILINE)
    (tmp_path / "agent.service").write_text(unit.replace("User=agent", "User=root"))
    ran = subprocess.run([analyze, "verify", "--man=no", tmp_path / "agent.service"], capture_output=True, text=True)
    complaints = [line for line in ran.stderr.splitlines() if "agent.service" in line]
    assert (ran.returncode, complaints) == (0, [])


def test_the_containers_file_installs_what_exists_and_runs_flowkit() -> None:
    lines = dict(line.split(" ", 1) for line in block("dockerfile").splitlines())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (asked,) = re.findall(r"flowkit-voice\[([\w,]+)\]", block("dockerfile"))
    assert set(asked.split(",")) <= set(extras)
    program, *line = json.loads(lines["CMD"])
    assert (program, options(line).host, options(line).port) == ("flowkit", "0.0.0.0", int(lines["EXPOSE"]))


def test_the_deployment_asks_for_paths_that_exist_and_waits_for_the_drain() -> None:
    pod = yaml.safe_load(block("yaml", 1))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in _ROUTES
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
    assert pod["terminationGracePeriodSeconds"] > 30 + 10 + 5


def test_every_metric_that_is_named_exists() -> None:
    gauges = Gauges(0, 0, 0, 0, 0, 0, 0, (QueueDepth("llm", 0, 0, 1),))
    metrics = Metrics(lambda: gauges, 1)
    there = {family.name for family in (*metrics.families(), *of_workers(0, 0))}
    scaled = yaml.safe_load(block("yaml", 2))["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rules = yaml.safe_load(block("yaml", 3))["groups"][0]["rules"]
    named = {scaled, *(name for rule in rules for name in re.findall(r"flowkit_\w+", rule["expr"]))}
    assert len(named) >= 7
    assert {re.sub(r"_(bucket|total)$", "", name) for name in named} <= there
