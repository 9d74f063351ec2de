"""Tools for tests of what is built with flowkit. All of them are public, and flowkit's own tests use them.

- ``provider``: ``check_provider`` checks a provider of your own.
- ``stage``: ``check_stage`` checks a stage of your own.
- ``session_machine``: random sessions with your own stage, provider or pipeline, as a Hypothesis state machine.
- ``sessions``: runs whole sessions in virtual time. ``evidence`` records one, ``invariants`` checks what every session
  promises.
- ``scripted``: fake providers with declared answers and times. ``emulators``: the cloud providers' APIs on loopback.
- ``strategies``: Hypothesis strategies for conversations, chunker input and rules.
- ``score`` and ``cases``: how well a chunker cuts. ``pytest_plugin``: fixtures, and ``pytest --flowkit``.
- ``suite``: what ``flowkit test`` runs.
"""
