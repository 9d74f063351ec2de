"""Programs beside the server: `flowkit serve` itself, and those that a test fetches into a folder of its own below out/clients/.

Nothing is installed on the machine. Where a program cannot be had, the test is skipped with the reason.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serve.support import TALK

FETCHED = Path(__file__).resolve().parents[2] / "out" / "clients"


def environment(name: str, *packages: str) -> Path:
    """The Python of an environment with these packages, which may want others than flowkit."""
    folder = FETCHED / name
    python = folder / "bin" / "python"
    try:
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
            subprocess.run(install, check=True, capture_output=True, timeout=600)
            (folder / "ready").touch()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{packages[0]} cannot be installed: {type(error).__name__}")
    return python


def of_debian(package: str, program: str) -> Path:
    """A program of the machine, or else out of a package of Debian that is unpacked and not installed."""
    if (found := shutil.which(program, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")) is not None:
        return Path(found)
    folder = FETCHED / package
    there = folder / "root" / "usr" / "sbin" / program
    try:
        if not there.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for fetch in (["apt-get", "update"], ["apt-get", "download", package]):
                subprocess.run(fetch, cwd=folder, check=fetch[1] == "download", capture_output=True, timeout=300)
            (archive,) = folder.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder / "root"], check=True, capture_output=True)
        subprocess.run([there, "-v"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"there is no {program}, and the package cannot be had: {type(error).__name__}")
    return there


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for `name`, such as IP:127.0.0.1, which it signs itself, with its key beside it as key.pem."""
    made = folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=flowkit"]
    command += ["-addext", f"subjectAltName={name}", "-keyout", str(folder / "key.pem"), "-out", str(made)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return made


@contextmanager
def server(folder: Path, text: str = TALK) -> Iterator[str]:
    """A server of a scripted pipeline in a process of its own, ended by SIGTERM, which it answers with exit code 0."""
    (folder / "talk.yaml").write_text(text)
    command = [sys.executable, "-m", "flowkit", "serve", "talk.yaml", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            url = re.search(r"http://\S+/v1", line)
            assert url is not None, line
            yield url[0]
        finally:
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=60)
    assert process.returncode == 0, logged
    assert json.loads(logged.splitlines()[-1])["event"] == "drained"
    assert "any-key" not in logged
    assert "thank you" not in logged
