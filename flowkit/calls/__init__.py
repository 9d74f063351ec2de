"""Calls from elsewhere become traces, and what is done with many traces.

Reading order: ``call`` (a call as flowkit sees it), ``stereo`` and ``listen`` (a call from a sound file with two channels),
``reports`` (a call without sound), ``doubts`` (what looks wrong in it), ``scripts`` and ``session`` (a call as a recorded
session). Then ``export``, ``pin``, ``sweep`` and ``shrink``.
"""
