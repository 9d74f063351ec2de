"""What is read off a session: each turn's figures, what sounded, the story of a report, spans for people.

Reading order: ``layout`` and ``report`` (what is measured, and of what), ``reference`` and ``listener`` (the ruler: where the
user's voice was), ``sound`` (what the speaker's rows say of playback), ``metrics`` (TTFA and its parts, clauses, interrupts),
``queues`` and ``levels``, ``popped`` (the device's own word), ``sounded`` and ``story`` (what a page shows), ``spans`` (what a
viewer of traces shows).
"""
