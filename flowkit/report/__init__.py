"""Shows results to people: while a session runs, after it, and for tests.

Reading order: ``plain`` (lines), ``live_state`` and ``live`` (the live view), ``budgets``; ``outcome`` with ``github``,
``junit`` and ``markdown`` (results of tests); ``terminal`` and ``page`` with ``sides`` (reports of a session).
"""
