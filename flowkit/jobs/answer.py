"""What comes back from a worker: what a job returned, or the exception that it raised."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple


class JobAnswer(NamedTuple):
    """The outcome of one job."""

    value: Any = None
    error: BaseException | None = None

    def unwrap(self) -> Any:
        """What the job returned. Raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value


def answered(job: Callable[[Any], Any], item: Any) -> bytes:
    """Run a job. The answer comes pickled, so that what cannot be pickled is an answer too."""
    try:
        return pickle.dumps(JobAnswer(job(item)))
    except Exception as error:
        # A traceback is not pickled with its exception.
        error.add_note("in a worker:\n" + traceback.format_exc())
        try:
            told = pickle.dumps(JobAnswer(error=error))
            # Some exceptions can be pickled, but not read again.
            pickle.loads(told)
            return told
        except Exception:
            return pickle.dumps(JobAnswer(error=RuntimeError(f"{type(error).__name__}: {error}")))
