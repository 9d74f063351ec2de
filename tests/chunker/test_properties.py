"""The chunker's properties, for any reply, any fragmentation and any rules."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from flowkit.chunker import Chunk, Chunker, FirstRules, Reason, Rules
from flowkit.chunker.text import measure
from flowkit.testing.strategies import Reply, any_text, chunker_rules, markdown_documents, replies, token_streams
from flowkit.words import character_ends

TEXTS = st.one_of(replies().map(lambda reply: reply.text), markdown_documents(), any_text())


def run(rules: Rules, tokens: list[str]) -> list[Chunk]:
    chunker = Chunker(rules)
    chunks = [chunk for token in tokens for chunk in chunker.feed(token)]
    return chunks + chunker.flush()


def tokens_to_first(rules: Rules, tokens: list[str]) -> int:
    chunker = Chunker(rules)
    return next((seen for seen, token in enumerate(tokens, 1) if chunker.feed(token)), len(tokens))


@given(data=st.data(), text=TEXTS, rules=chunker_rules())
def test_nothing_is_lost_and_nothing_is_empty(data: st.DataObject, text: str, rules: Rules) -> None:
    chunks = run(rules, data.draw(token_streams(text)))
    joined = "".join(chunk.text for chunk in chunks)
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()
    assert all(chunk.text.strip() for chunk in chunks)


@given(text=TEXTS, rules=chunker_rules())
def test_no_chunk_is_larger_than_the_maximum(text: str, rules: Rules) -> None:
    for chunk in run(rules, [text]):
        assert 1 <= chunk.tokens <= rules.max_tokens
        # A code block weighs what is said for it, and a single character stays whole.
        if "```" not in chunk.text and "~~~" not in chunk.text and len(character_ends(chunk.text.strip())) > 1:
            assert measure(chunk.text.strip()) <= rules.max_tokens


@given(data=st.data(), text=TEXTS, rules=chunker_rules())
def test_the_chunks_do_not_depend_on_the_fragmentation(data: st.DataObject, text: str, rules: Rules) -> None:
    assert run(rules, data.draw(token_streams(text))) == run(rules, [text])


@given(reply=replies(), mode=st.sampled_from(("clause", "sentence")))
def test_protected_spans_are_not_cut(reply: Reply, mode: str) -> None:
    rules = Rules(language=reply.language, mode="clause" if mode == "clause" else "sentence")
    at = 0
    for chunk in run(rules, [reply.text])[:-1]:
        at += len(chunk.text)
        cut = [reply.text[low:high] for low, high in reply.protected if low < at < high]
        assert not cut


@given(data=st.data(), before=TEXTS, after=TEXTS, rules=chunker_rules())
def test_a_cancel_at_any_point_leaves_a_fresh_state(data: st.DataObject, before: str, after: str, rules: Rules) -> None:
    chunker = Chunker(rules)
    for token in data.draw(token_streams(before)):
        chunker.feed(token)
    chunker.reset()
    assert chunker.pending() == 0
    assert chunker.feed(after) + chunker.flush() == run(rules, [after])


@given(text=TEXTS, rules=chunker_rules())
def test_a_flush_leaves_a_fresh_state(text: str, rules: Rules) -> None:
    chunker = Chunker(rules)
    first = chunker.feed(text) + chunker.flush()
    assert chunker.feed(text) + chunker.flush() == first


@given(text=TEXTS, rules=chunker_rules(), longer=st.integers(0, 20))
def test_a_longer_first_never_lowers_the_tokens_to_the_first_chunk(text: str, rules: Rules, longer: int) -> None:
    longer_rules = rules.replace(first=FirstRules(rules.first.min_tokens + longer))
    assert tokens_to_first(longer_rules, list(text)) >= tokens_to_first(rules, list(text))


@given(text=TEXTS, rules=chunker_rules(), shorter=st.integers(0, 20))
def test_a_shorter_comma_after_never_raises_the_tokens_to_the_first_chunk(
    text: str, rules: Rules, shorter: int
) -> None:
    shorter_rules = rules.replace(comma_after=max(1, rules.comma_after - shorter))
    assert tokens_to_first(shorter_rules, list(text)) <= tokens_to_first(rules, list(text))


@given(text=TEXTS, rules=chunker_rules())
def test_what_was_heard_is_a_growing_part_of_the_original(text: str, rules: Rules) -> None:
    for chunk in run(rules, [text]):
        heard = [chunk.heard(share / 7) for share in range(8)]
        assert heard[-1] == chunk.text
        assert all(chunk.text.startswith(part) for part in heard)
        assert [len(part) for part in heard] == sorted(len(part) for part in heard)


@given(text=TEXTS, rules=chunker_rules())
def test_what_is_spoken_is_in_order_and_clean(text: str, rules: Rules) -> None:
    for chunk in run(rules, [text]):
        assert chunk.spoken == chunk.spoken.strip()
        assert chunk.marks == tuple(sorted(chunk.marks))
        if chunk.marks:
            assert chunk.marks[-1] == (len(chunk.spoken), len(chunk.text))


@given(data=st.data(), text=TEXTS, rules=chunker_rules())
def test_a_stall_at_any_point_loses_nothing(data: st.DataObject, text: str, rules: Rules) -> None:
    chunker, chunks = Chunker(rules), []
    for token in data.draw(token_streams(text)):
        chunks += chunker.feed(token)
        if data.draw(st.booleans()):
            stalled = chunker.stall()
            assert not stalled or stalled[0].reason is Reason.STALL
            chunks += stalled
    joined = "".join(chunk.text for chunk in chunks + chunker.flush())
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()
    assert all(chunk.tokens <= rules.max_tokens for chunk in chunks)


@given(reply=replies(("en", "de", "es")))
def test_a_likely_end_changes_nothing_and_comes_true_before_a_new_sentence(reply: Reply) -> None:
    chunker = Chunker(Rules(language=reply.language))
    for at, char in enumerate(reply.text):
        chunks = chunker.feed(char)
        likely = chunker.likely()
        assert likely == chunker.likely()
        if likely is not None and reply.text[at + 1 : at + 2] == "\n":
            assert chunker.feed("\n")[0].text.startswith(likely.text)
            return
        assert all(chunk.text.strip() for chunk in chunks)


@given(text=TEXTS, rules=chunker_rules())
def test_pending_counts_only_what_can_be_spoken(text: str, rules: Rules) -> None:
    chunker = Chunker(rules)
    chunker.feed(text)
    pending = chunker.pending()
    assert 0 <= pending <= len(text)
    assume(pending)
    assert "".join(chunk.text for chunk in chunker.flush()).strip()
