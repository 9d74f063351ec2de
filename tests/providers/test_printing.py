import pytest
import trio

from flowkit.messages import Speak
from flowkit.providers.printing import Print
from tests.providers.support import FakeSession, answer


def test_each_clause_is_a_line_and_makes_no_sound(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> int:
        voice = Print(Print.Options(prefix="agent: "), FakeSession().around())
        first = await answer(voice, Speak(0, "One moment,"))
        second = await answer(voice, Speak(1, "please."))
        return len(first.items) + len(second.items)

    assert trio.run(main) == 0
    assert capsys.readouterr().out == "agent: One moment,\nagent: please.\n"
