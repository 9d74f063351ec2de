"""Runs a recorded session again, without threads, sockets or sleep.

Reading order: ``rerun`` (exact replay), ``heap`` (the pump of all other replays), ``simulate`` with ``material``,
``recorded``, ``voice`` and ``warp`` (what stands in for providers and the user), ``settings`` (which pipeline runs),
``compare`` (two sessions), ``ties`` (other orders of simultaneous items).
"""
