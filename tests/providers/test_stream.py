"""A microphone that a program feeds: pieces of any length become whole frames."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.messages import Capture, Frames, InputEnded, Message
from flowkit.providers.sound.stream import StreamSource
from tests.providers.support import FakeSession

SIZE = 640


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=3 * SIZE), max_size=6))
def test_all_that_is_read_is_heard_in_whole_frames(pieces: list[bytes]) -> None:
    heard: list[Message] = []

    async def pcm() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def nothing() -> AsyncIterator[Message]:
        for item in ():
            yield item

    async def emit(item: Message) -> None:
        heard.append(item)

    async def main() -> None:
        source = StreamSource(StreamSource.Options(pcm=pcm), FakeSession().around())
        await source.call(Capture(), nothing(), emit)

    trio.run(main)
    *frames, ended = heard
    assert all(isinstance(item, Frames) and len(item.pcm) == SIZE * item.count for item in frames)
    indexes = [item.index + i for item in frames if isinstance(item, Frames) for i in range(item.count)]
    assert indexes == list(range(len(indexes)))
    assert ended == InputEnded(len(indexes))
    said = b"".join(pieces)
    assert b"".join(item.pcm for item in frames if isinstance(item, Frames)) == said.ljust(SIZE * len(indexes), b"\0")
    assert len(indexes) == -(-len(said) // SIZE)
