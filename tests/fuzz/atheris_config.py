"""Coverage-guided fuzzing of the loader, for machines that have atheris (pip install atheris; it is no dependency).

    python -m tests.fuzz.atheris_config -runs=100000 -timeout=2 -rss_limit_mb=400

Odd first bytes fuzz a whole text, even ones what stands in the middle of a sound pipeline.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["flowkit.config", "flowkit.plan", "yaml"]):
    from tests.config.helpers import BASE
    from tests.fuzz.test_config import judge


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    middle = len(BASE) * data[1] // 256 if len(data) > 1 else 0
    text = BASE.encode()
    judge(data[1:] if data[:1] and data[0] % 2 else text[:middle] + data[2:] + text[middle:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
