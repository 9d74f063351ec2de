"""What is computed from a session's rows: turns, figures, what sounded, spans, and the data of the report page.

Reading order: ``layout`` and ``report`` (the data). ``follower`` reads turns from rows, with ``records`` (what it
returns), ``listening`` (the user's side), ``sound`` (playback) and ``device`` (its events). ``reference`` and ``frames``
find where the user's voice was. These use the follower: ``metrics`` (TTFA and its parts, clauses, interrupts), ``live``
(the same while a session runs), ``spans`` (for viewers of traces), ``story`` with ``sounded`` (for the report page).
Independent of turns are ``queues``, ``levels`` and ``stalls``.
"""
