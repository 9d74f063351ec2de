"""Live sessions, under Trio.

Reading order: ``host`` runs any number of sessions. Of each, ``session`` makes the providers ready (``loading``) and runs ``pump``,
which drives the engine. ``calls`` are provider calls in a task, ``inline`` those in place. ``failover``, with ``circuit``,
``handover`` and ``fed``, makes several providers act as one. ``clock``, ``alarms`` and ``watchdog`` are about time, ``masking`` and
``recording`` about what is kept. ``handle``, ``remote`` and ``threaded`` are for programs; ``load``, ``gauges``, ``realtime`` and
``signals`` for the process; ``echo`` and ``soundcheck`` for devices.
"""
