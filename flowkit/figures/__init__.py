"""What is read off a session: each turn's figures, what sounded, the story of a report, spans for people.

Reading order: ``layout`` and ``report`` (what is measured, and of what); ``follower``, the one that tells turns from rows, with
``records`` (what it hands out), ``listening`` (the user's side) and ``sound`` (playback); ``reference`` and ``frames`` (the ruler:
where the user's voice was, and when). Its readers: ``metrics`` (TTFA and its parts, clauses, interrupts), ``live`` (the same while
a session runs), ``spans`` (what a viewer of traces shows), ``story`` with ``sounded`` (what a page shows). Apart from turns:
``queues`` and ``levels``.
"""
