"""A conversation by the official SDK, unmodified: run with its own Python as ``openai_sdk.py URL async|sync``.

Every event is validated against the SDK's types. Prints what happened as JSON.
"""

import asyncio
import base64
import json
import math
import sys
import threading
import time
from array import array
from typing import Any

import openai
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

TYPES: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
PIECE = 4_800
TOOL = {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}
happened: dict[str, Any] = {"events": {}, "errors": []}


def speech(seconds: float = 0.8) -> list[str]:
    """A tone and a second of silence, in pieces of 100 ms."""
    voice = array("h", [round(8000 * math.sin(n * 0.115)) for n in range(int(24_000 * seconds))]).tobytes()
    pcm = voice + bytes(48_000)
    return [base64.b64encode(pcm[first : first + PIECE]).decode() for first in range(0, len(pcm), PIECE)]


def checked(raw: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(raw)
    TYPES.validate_python(event)
    happened["events"][event["type"]] = happened["events"].get(event["type"], 0) + 1
    if event["type"] == "error":
        happened["errors"].append(event["error"]["code"])
    return event


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def said(done: dict[str, Any]) -> str:
    text: str = done["response"]["output"][0]["content"][0]["transcript"]
    return text


async def by_async(url: str) -> None:
    client = openai.AsyncOpenAI(api_key="any-key", base_url=url)
    async with client.realtime.connect(model="any") as connection:

        async def until(type: str) -> dict[str, Any]:
            async with asyncio.timeout(30):
                while (event := checked(await connection.recv_bytes()))["type"] != type:
                    pass
            return event

        async def speak() -> None:
            for piece in speech():
                await connection.input_audio_buffer.append(audio=piece)
                await asyncio.sleep(0.1)

        await until("session.created")
        await connection.session.update(session={"type": "realtime", "instructions": "Be kind.", "tools": [TOOL]})
        await until("session.updated")
        speaking = asyncio.create_task(speak())
        happened["spoken"] = said(await until("response.done"))
        await speaking
        await connection.conversation.item.create(item=user("Where is it?"))
        await connection.response.create()
        done = await until("response.done")
        call = done["response"]["output"][-1]
        happened["called"] = call["name"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "on the left"}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        happened["answered"] = said(await until("response.done"))
        await connection.conversation.item.create(item=user("Tell me."))
        await connection.response.create()
        delta = await until("response.output_audio.delta")
        speaking = asyncio.create_task(speak())
        await until("input_audio_buffer.speech_started")
        happened["interrupted"] = (await until("response.done"))["response"]["status_details"]["reason"]
        await connection.conversation.item.truncate(item_id=delta["item_id"], content_index=0, audio_end_ms=300)
        await until("conversation.item.truncated")
        happened["after"] = said(await until("response.done"))
        await speaking
        await connection.send({"type": "conversation.item.delete", "item_id": "any"})
        await until("error")


def by_sync(url: str) -> None:
    client = openai.OpenAI(api_key="any-key", base_url=url)
    secret = client.realtime.client_secrets.create(session={"type": "realtime", "instructions": "Be kind."})
    happened["secret"] = secret.value[:3]
    with openai.OpenAI(api_key=secret.value, base_url=url).realtime.connect(model="any") as connection:

        def until(type: str) -> dict[str, Any]:
            while (event := checked(connection.recv_bytes()))["type"] != type:
                pass
            return event

        def speak() -> None:
            for piece in speech():
                connection.input_audio_buffer.append(audio=piece)
                time.sleep(0.1)

        happened["instructions"] = until("session.created")["session"]["instructions"]
        speaking = threading.Thread(target=speak)
        speaking.start()
        happened["spoken"] = said(until("response.done"))
        speaking.join()
        connection.response.create(response={"output_modalities": ["text"]})
        happened["text"] = until("response.output_text.done")["text"]
        until("response.done")


if sys.argv[2] == "async":
    asyncio.run(by_async(sys.argv[1]))
else:
    by_sync(sys.argv[1])
print(json.dumps(happened))
