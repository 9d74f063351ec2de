"""Code that the cloud providers share.

Read ``faults`` first (the errors and what helps against them), then ``line`` (a websocket in its own task), ``keys``
and ``text``. Chat models use ``chat``, ``client`` (HTTP) and ``completions`` (the stream of a reply).
"""
