"""The record of a session, and the figures read off it.

Reading order: ``observer`` (who may watch a session), ``listener`` and ``reference`` (the ruler: where the user's voice was),
``layout`` and ``figures`` (what is measured, and of what), ``sound`` and ``queues`` (what rows say of playback and of queues),
``metrics`` (all of it).
"""
