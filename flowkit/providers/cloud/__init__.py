"""What the cloud providers share. Read ``faults`` (what can go wrong, and what helps) first, then ``line`` (a websocket in a
task of its own), ``keys`` and ``text``.
"""
