"""OpenAI's Realtime protocol, in its GA form, on top of a session. No I/O.

``protocol`` is what a connection uses. ``client`` has one handler for each client event, ``reply`` and ``speech`` make server
events of the journal's rows. ``settings`` is the session object, ``items`` the conversation, ``audio`` the formats.

https://platform.openai.com/docs/api-reference/realtime
"""
