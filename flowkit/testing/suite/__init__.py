"""``flowkit test``: tests of pipeline files and of stored traces.

Reading order: ``collect`` (which tests there are), ``run`` (all of them, in parallel), then the three kinds: ``cases`` of the room
above (chunker), ``session`` with ``inject`` (sessions with something put in), ``stored`` with ``expectations``,
``approved`` and ``causes`` (a recording's replay against what was approved). ``words`` judges single figures.
"""

from flowkit.testing.suite.collect import Collected, Item, ItemKind, collect
from flowkit.testing.suite.run import default_workers, outcome_of, run

__all__ = ["Collected", "Item", "ItemKind", "collect", "default_workers", "outcome_of", "run"]
