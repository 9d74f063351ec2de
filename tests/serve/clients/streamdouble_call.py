"""A telephone call by streamdouble, unmodified: run with its own Python as ``streamdouble_call.py URL TOKEN LOSS JITTER_MS``.

Asks the webhook first, as Twilio does, signed with the account's auth token. Prints what happened as JSON.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import sys
import urllib.parse
import urllib.request

import numpy as np
from streamdouble import g711
from streamdouble.audio import frame_ulaw
from streamdouble.chaos import Impairments
from streamdouble.protocol import StreamIdentity
from streamdouble.session import SessionConfig, run_call

url, token, loss, jitter_ms = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])


def stream_of(call: str) -> tuple[str, dict[str, str]]:
    """Where the webhook sends the call's sound, and with which parameters."""
    webhook = f"{url}/twilio/voice"
    signed = hmac.new(token.encode(), f"{webhook}CallSid{call}".encode(), hashlib.sha1).digest()
    headers = {"X-Twilio-Signature": base64.b64encode(signed).decode()}
    request = urllib.request.Request(webhook, urllib.parse.urlencode({"CallSid": call}).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        twiml = answer.read().decode()
    parameters = dict(re.findall(r'<Parameter name="([^"]*)" value="([^"]*)"', twiml))
    return re.findall(r'<Stream url="([^"]*)"', twiml)[0], parameters


def sound(voice_s: float, silence_s: float) -> list[bytes]:
    samples = np.zeros(round(8_000 * (voice_s + silence_s)), np.int16)
    samples[: round(8_000 * voice_s)] = 8_000 * np.sin(np.arange(round(8_000 * voice_s)) * 0.345)
    return frame_ulaw(g711.encode(samples))


async def main() -> None:
    identity = StreamIdentity()
    address, parameters = stream_of(identity.call_sid)
    config = SessionConfig(custom_parameters=parameters, impairments=Impairments(loss=loss, jitter_ms=jitter_ms))
    # A question; then, while the agent answers it, an interruption.
    frames = sound(0.8, 1.8) + sound(0.8, 2.0)
    result = await run_call(address, frames, config=config, identity=identity)
    happened = {
        "violations": [str(violation) for violation in result.violations],
        "marks": len(result.marks_echoed),
        "clears": result.clears_received,
        "first_audio_s": result.time_to_first_audio_s,
        "audio_s": result.audio_duration_s,
        "lost": result.frames_dropped,
        "closed_by": result.closed_by,
    }
    print(json.dumps(happened))


asyncio.run(main())
