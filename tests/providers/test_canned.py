import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Ask, Token
from flowkit.providers.canned import Canned
from tests.providers.support import FakeSession, answer


def say(options: Canned.Options, turn: int = 1) -> list[Token]:
    async def main() -> list[Token]:
        return (await answer(Canned(options, FakeSession().around()), Ask(turn, "anything"))).of(Token)

    return trio.run(main)


def test_it_speaks_word_by_word() -> None:
    assert say(Canned.Options(text="One moment, please.")) == [
        Token(0, "One"),
        Token(1, " moment,"),
        Token(2, " please."),
    ]


def test_replies_come_in_order_and_then_the_text() -> None:
    options = Canned.Options(text="Bye.", replies=("Hello.", "How nice."))
    assert [say(options, turn)[0].text for turn in (1, 2, 3, 4)] == ["Hello.", "How", "Bye.", "Bye."]


@given(st.text(alphabet=st.sampled_from("ab .\n,é"), max_size=30).filter(lambda text: text.strip()))
def test_nothing_of_the_text_is_lost(text: str) -> None:
    assert "".join(token.text for token in say(Canned.Options(text=text))) == text
