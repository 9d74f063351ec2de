"""``flowkit test``: tests of pipeline files and of stored traces.

Reading order: ``collect`` (finds the tests) and ``run`` (runs them in parallel), then the three kinds of tests:

- chunker tests: ``flowkit.testing.cases``;
- session tests: ``session``, with ``inject`` for injected speech and delays;
- stored traces: ``stored`` compares the replay of a trace with its approved result, with ``expectations``, ``approved``
  and ``causes``.

``words`` checks assertions on single figures.
"""

from flowkit.testing.suite.collect import Collected, Item, ItemKind, collect
from flowkit.testing.suite.run import outcome_of, run

__all__ = ["Collected", "Item", "ItemKind", "collect", "outcome_of", "run"]
