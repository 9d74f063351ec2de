"""Measures on labelled recordings when a pipeline takes the user's turn to be over.

Reading order: ``labels`` (what is known of a recording), ``listening`` (what the pipeline hears in it), ``policies`` (when
turns would end with other settings), ``result`` and ``plot``.
"""
