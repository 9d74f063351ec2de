"""``flowkit serve``: clients talk to a pipeline over the network.

Read ``server`` first: one port, one host behind it, and how it drains. ``http`` reads a request, ``auth`` decides who may
connect, ``socket`` is a connection that has become a WebSocket, ``metrics`` is what a monitor reads. With several processes,
``parent`` starts a ``worker`` in each, ``link`` is how the two talk, and ``places`` and ``families`` cover all of them. ``page``
is for a browser, and ``inside`` and ``observe`` are for those who may look inside.
"""
