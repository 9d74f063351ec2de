import json

import pytest
import trio

from flowkit.errors import ProviderError
from flowkit.messages import Detect, Probability
from flowkit.providers.models import opened
from flowkit.providers.webrtcvad import WebRtcVad
from tests.providers.support import AUDIO, FakeSession, answer, frames, installed, recorded

pytestmark = installed(WebRtcVad)


def test_each_frame_of_a_question_is_judged() -> None:
    async def main() -> list[Probability]:
        async with opened(WebRtcVad, WebRtcVad.Options(aggressiveness=3), FakeSession().around()) as vad:
            return (await answer(vad, Detect(), frames(recorded("question.wav")))).of(Probability)

    judged = trio.run(main)
    assert [item.frame for item in judged] == list(range(len(judged)))
    assert {item.p for item in judged} == {0.0, 1.0}
    said = json.loads((AUDIO / "audio.json").read_text())["files"]["question.wav"][0]
    voiced = [item.frame * 20 for item in judged if item.p]
    inside = [ms for ms in voiced if said["start_ms"] - 20 <= ms <= said["end_ms"] + 100]
    assert len(inside) * 20 > 0.8 * (said["end_ms"] - said["start_ms"])
    assert len(inside) == len(voiced)


@pytest.mark.parametrize(("rate_hz", "frame_us"), [(44_100, 20_000), (16_000, 25_000)])
def test_a_format_that_it_does_not_know_is_refused(rate_hz: int, frame_us: int) -> None:
    async def main() -> None:
        async with opened(WebRtcVad, WebRtcVad.Options(), FakeSession(rate_hz, frame_us).around()):
            raise AssertionError("must not become ready")

    with pytest.raises(ProviderError, match="does not support frames"):
        trio.run(main)
