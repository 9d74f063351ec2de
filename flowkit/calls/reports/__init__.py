"""Calls that other systems report: who said what, when.

Reading order: ``report`` (what a report says, and the call that it makes), ``livekit``, ``turns`` and ``pipecat`` (with
``otel``): a reader for each form, ``recorded`` (a report whose sound is there too), and ``read``.
"""
