"""Twilio Media Streams: telephone calls as sessions. No I/O.

``webhook`` answers the request that Twilio makes for each call, and checks who has signed it. ``protocol`` is the WebSocket
that follows, ``line`` the sound in both directions.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""
