"""Measures on labelled recordings when a pipeline takes the user's turn to be over, and who gets the floor.

Reading order: ``labels`` (what is known of a recording), ``rehearsal`` (a session with real models in virtual time),
``listening`` (what the pipeline hears in a recording), ``policies`` (when turns would end with other settings), ``floor``
(what the agent does when it is interrupted), ``result`` and ``plot``.
"""
