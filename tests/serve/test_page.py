"""The page in a real Chromium with a fake microphone: talk, interrupt, look inside; by keyboard, on a phone, with a token."""

from __future__ import annotations

import json
import os
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from flowkit.replay.rerun import exactly
from tests.report_page.browser import OVERLAPS
from tests.serve.browser import ELSEWHERE, Page, browser
from tests.serve.programs import server
from tests.serve.support import TALK, silence, tone
from tests.serve.test_clients import ANSWER
from tests.serve.wire import TOKEN

ROOT = Path(__file__).resolve().parents[2]
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
PHONE = {"width": 375, "height": 812}
LONG = (
    f"{ANSWER.replace('thank you,', 'thank you <img src=x>,')} It has a square, too, and a market on every second day of the "
    "week, at which fish is sold, and bread."
)
EVIL = "<script>window.evil = 1</script><img src=x onerror=window.evil=1>"
"""What the user says, as the ASR understands it."""
BUDGETS = "budgets: {ttfa: {p95: 300ms}, parts: {clause_fill: {p95: 1ms}}}\n"
HEARD = "[...document.querySelectorAll('.agent .heard')].at(-1).textContent"
REST = "[...document.querySelectorAll('.agent .rest')].at(-1).textContent"
NOTES = "[...document.querySelectorAll('.note')].map((note) => note.textContent).filter(Boolean).join()"
STATE = "document.getElementById('state').textContent"
GONE = """(async () => { do await new Promise((done) => setTimeout(done, 50));
while ((await (await fetch("/v1/flowkit/sessions", %s)).json()).running.length) })()"""
LAYOUT = f"(() => {{ {OVERLAPS} return {{clashes: overlapping(), wide: document.documentElement.scrollWidth}}; }})()"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser whose microphone hears a tone of 800 ms every 2.4 s."""
    folder = tmp_path_factory.mktemp("browser")
    with wave.open(str(folder / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(silence(300_000) + tone(800_000) + silence(1_300_000))
    with browser(folder, folder / "voice.wav") as page:
        yield page


def writes(page: Page, text: str) -> None:
    """Write a line with the keyboard."""
    page.run("document.getElementById('line').focus()")
    page.type(text)
    page.press("Enter")


def test_talk_hear_interrupt_and_look_inside(chromium: Page, tmp_path: Path) -> None:
    page = chromium
    text = TALK.replace(ANSWER, LONG).replace("And else?", f"'{EVIL}'") + BUDGETS
    with server(tmp_path, text) as url:
        page.open(url.removesuffix("v1"))
        page.click("start")
        page.until("document.body.innerText.includes('How are you?')")
        page.click("mute")
        page.until(f"{STATE} === 'speaking'")
        page.until(f"{HEARD}.includes('thank')")
        page.until("output.loudest > 0.01")
        page.until("document.getElementById('delay').textContent.includes('in turn 1, budget 300 ms')")
        assert "clause fill" in page.run("document.querySelector('#parts .bad').textContent")
        # The microphone hears the next tone, which interrupts. On a busy machine that may be the reply after this one.
        page.click("mute")
        page.until(f"{NOTES} === 'not heard: you spoke'")
        page.click("mute")
        page.until("output.now < 0.001")
        heard = page.run("document.querySelector('.agent.cut .heard').textContent").strip()
        assert heard
        assert LONG.startswith(heard)
        page.until("document.getElementById('interrupts').textContent.includes('silent')")
        # What was said is shown, and is no code.
        page.until(f"document.getElementById('conversation').innerText.includes({json.dumps(EVIL)})")
        page.until("document.getElementById('log').textContent.includes('onerror')")
        page.until(f"{STATE} === 'speaking'")
        page.press("Escape")
        page.until(f"{NOTES}.endsWith('not heard: you stopped it')")
        page.until("output.now < 0.001")
        assert page.run("window.evil") is None
        assert page.run(LAYOUT) == {"clashes": [], "wide": 1280}
        # Its recording is listed, and its report opens.
        page.click("start")
        page.until("document.querySelector('#sessions button')?.textContent === 'Report'")
        told = page.run("document.querySelector('#sessions span').innerText")
        assert re.search(r", \d+ turns?\nHow are you\?", told), told
        page.run("document.querySelector('#sessions button').click()")
        page.until_other("- flowkit report")
        assert page.errors == []
    (trace,) = (tmp_path / "traces" / "live").glob("*.jsonl")
    assert exactly(trace).same


HELD = """
window.arrives = new Promise((open) => { window.letIn = open; });
window.WebSocket = class extends WebSocket {
  set onmessage(handler) { super.onmessage = async (event) => { await arrives; handler(event); }; }
};
"""
"""Whatever the server sends comes late."""


def test_what_is_said_while_it_connects_is_heard(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "once.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(silence(500_000) + tone(800_000) + silence(90_000_000))
    with server(tmp_path, TALK) as url, browser(tmp_path, tmp_path / "once.wav") as page:
        page.open(url.removesuffix("v1"))
        page.run(HELD)
        page.click("start")
        page.until("document.getElementById('user-level').value > -40")
        page.until("document.getElementById('user-level').value < -50")
        assert page.run(STATE) == "connecting"
        page.run("letIn()")
        page.until("document.getElementById('conversation').innerText.includes('How are you?')")
        page.until(f"{HEARD}.includes('thank')")
        kept = """(async () => { const { Kept } = await import("/page/sound.js"), kept = new Kept(3);
            for (let i = 0; i < 5; i++) kept.add(i);
            return [kept.take(), kept.take()]; })()"""
        assert page.run(kept) == [[2, 3, 4], []], "the newest alone"
        assert page.errors == []


SPREAD = """(async () => {
  const { Conversation } = await import("/page/conversation.js");
  const talk = new Conversation(document.createElement("ol"), () => {}), pale = [];
  for (let size = 1; size <= 600; size++) {
    const message = talk.add(`item_${size}`, "assistant"), pieces = 3 + size % 90;
    message.begins("The capital of France is Paris.");
    for (let i = 0; i < pieces; i++) message.sounds(size);
    message.whole = true;
    message.heardUntil(size * pieces);
    if (message.rest.textContent) pale.push(size);
  }
  return pale;
})()"""


def test_what_has_sounded_to_its_end_is_dark_however_long_it_is(chromium: Page, tmp_path: Path) -> None:
    with server(tmp_path, TALK) as url:
        chromium.open(url.removesuffix("v1"))
        assert chromium.run(SPREAD) == []


def test_the_keyboard_alone_is_enough_on_a_phone(chromium: Page, tmp_path: Path) -> None:
    page = chromium
    answer = ANSWER.partition(", it is")[0]
    with server(tmp_path, TALK.replace(ANSWER, answer)) as url:
        page.open(url.removesuffix("v1"), **PHONE)
        reached: list[str] = []
        for _ in range(7):
            page.press("Tab")
            focus = "(document.activeElement.id || document.activeElement.textContent)"
            style = "getComputedStyle(document.activeElement).outlineStyle"
            reached.append(page.run(focus))
            assert page.run(style) != "none", f"no visible focus on {reached[-1]}"
        assert reached == ["start", "mute", "stop", "conversation", "line", "Send", "refresh"]
        page.run("document.activeElement.blur()")
        writes(page, "Hello?")
        page.until(f"{STATE} === 'speaking'")
        assert page.run(LAYOUT) == {"clashes": [], "wide": 375}
        page.until(f"document.getElementById('said').textContent === {json.dumps(f'Agent: {answer}')}")
        page.until(f"{STATE} === 'connected'")
        page.until(f"{HEARD} === {json.dumps(answer)} && !{REST}")
        assert page.run("document.getElementById('user-level').value") == -60
        page.run("document.getElementById('start').focus()")
        page.press("Enter")
        page.until(f"{STATE} === 'not connected'")
        assert page.run("document.activeElement.id") == "start"
        page.run(GONE % "{}")
        page.press(" ")
        page.until(f"{STATE} === 'listening'")
        page.press(" ")
        page.until(f"{STATE} === 'not connected'")
        assert page.errors == []


def test_without_a_microphone_one_can_write(chromium: Page, tmp_path: Path) -> None:
    page = chromium
    with server(tmp_path, TALK) as url:
        page.open(url.removesuffix("v1"), **PHONE)
        page.run(
            "void (navigator.mediaDevices.getUserMedia = async () => { "
            "throw new DOMException('Requested device not found', 'NotFoundError'); })"
        )
        page.click("start")
        page.until(
            "document.getElementById('notice').textContent === 'No microphone was found. You can write instead.'"
        )
        writes(page, "Hello?")
        page.until(f"{STATE} === 'speaking'")
        page.click("start")
        page.until("document.querySelector('#sessions button')?.textContent === 'Report'")
        assert page.run("document.querySelector('#sessions q').textContent") == "Hello?"
        # The button stands beside the words, at the edge, however long they are.
        page.run("void (document.querySelector('#sessions q').textContent = 'How are you? '.repeat(7))")
        assert page.run(
            "(() => { const [about, button, list] = ['span', 'button', '']"
            ".map((within) => document.querySelector(`#sessions ${within}`).getBoundingClientRect()); "
            "return [about.right <= button.left, Math.round(list.right - button.right), button.height < 40]; })()"
        ) == [True, 0, True]
        assert page.run(LAYOUT) == {"clashes": [], "wide": 375}
        assert page.errors == []


def test_a_token_opens_the_page_and_a_client_secret_alone_looks_nowhere(chromium: Page, tmp_path: Path) -> None:
    page = chromium
    with server(tmp_path, f"{TALK}serve: {{tokens: [{TOKEN}]}}\n") as url:
        page.open(url.removesuffix("v1"))
        assert page.run("document.getElementById('token').form.id") == "access"
        writes(page, "Hello?")
        page.until("document.getElementById('notice').textContent === 'Give a token first.'")
        assert page.errors == []

        def give(token: str) -> None:
            page.run(f"document.getElementById('token').value = {token!r}")
            page.click("start")

        give("wrong")
        page.until("document.getElementById('notice').textContent === 'The token is wrong.'")
        asked = Request(f"{url}/realtime/client_secrets", b"{}", {"authorization": f"Bearer {TOKEN}"})
        with urlopen(asked) as answer:
            give(json.load(answer)["value"])
        page.until(f"{STATE} === 'listening'")
        page.until("document.getElementById('closed').textContent.startsWith('No looking inside: ')")
        page.click("start")
        # A busy server takes no second session as long as there is one.
        page.run(GONE % json.dumps({"headers": {"authorization": f"Bearer {TOKEN}"}}))
        # A browser reports each status above 400 as an error; these are the two that were just provoked.
        assert len(page.errors) == 2
        assert all("status of 401" in error or "status of 403" in error for error in page.errors)
        page.errors.clear()
        give(TOKEN)
        page.until("document.getElementById('turn').textContent.startsWith('hearing')")
        page.click("start")
        page.until("document.querySelector('#sessions button').textContent === 'Report'")
        assert page.errors == []
        assert TOKEN not in page.run(
            "document.documentElement.outerHTML + JSON.stringify({...localStorage, ...sessionStorage})"
        )
        # Without https a browser gives neither microphone nor sound.
        page.run(GONE % json.dumps({"headers": {"authorization": f"Bearer {TOKEN}"}}))
        page.open(url.removesuffix("v1").replace("127.0.0.1", ELSEWHERE))
        give(TOKEN)
        page.until("document.getElementById('notice').textContent.includes('it needs https, or localhost')")
        writes(page, "Hello?")
        page.until(f"{HEARD} === {json.dumps(ANSWER)}")
        assert page.errors == []


@pytest.mark.skipif(not DEEP, reason="with the profile deep, because the embedded models take long to load")
def test_the_shipped_question_is_answered_by_the_embedded_models(tmp_path: Path) -> None:
    question = Path(f"{ROOT / 'pipelines' / 'audio' / 'question.wav'}%noloop")
    with (
        browser(tmp_path, question) as page,
        server(tmp_path, (ROOT / "pipelines" / "assistant.yaml").read_text()) as url,
    ):
        page.open(url.removesuffix("v1"))
        page.click("start")
        page.until("document.querySelector('.user .words').textContent.includes('capital of France')", 60)
        page.until(f"{HEARD}.includes('Paris') && output.loudest > 0.01", 60)
        page.until(f"{STATE} === 'listening'", 60)
        writes(page, "Tell me a long story about Paris.")
        page.until(f"{STATE} === 'speaking' && {HEARD}", 60)
        page.press("Escape")
        page.until(f"{NOTES} === 'not heard: you stopped it'")
        page.until("output.now < 0.001")
        page.until("document.getElementById('interrupts').textContent.includes('in turn 2')")
        assert page.errors == []
    (trace,) = (tmp_path / "traces" / "live").glob("*.jsonl")
    assert exactly(trace).same
