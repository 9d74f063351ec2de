"""ONNX Runtime for the models that run in this process: on the CPU, with a number of threads of their own."""

from __future__ import annotations

from typing import Any

from flowkit.providers.weights import Weights


def session_options(threads: int) -> Any:
    """The options of a model that computes with so many threads, the one that calls it included."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return options


def load_model(weights: Weights, threads: int = 1) -> Any:
    """The model of these weights, an ``onnxruntime.InferenceSession``, which threads may share.

    Raises ProviderMissing if the file is missing, and ProviderError if it has another digest.
    """
    import onnxruntime

    file = str(weights.checked())
    return onnxruntime.InferenceSession(file, session_options(threads), providers=["CPUExecutionProvider"])
