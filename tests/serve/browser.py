"""Chromium on the page of a server, driven by the DevTools protocol. Whatever its console says of errors is kept."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.chromium import chromium

ELSEWHERE = "voice.example.com"
"""A name of this machine that browsers do not take for it."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
# Whatever is connected to the loudspeaker is measured there, by what the browser itself gives out.
_BEFORE = """
window.output = {loudest: 0, now: 0};
const known = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to instanceof AudioDestinationNode && this.context.sampleRate === 24000) {
    const meter = new AnalyserNode(this.context, {fftSize: 2048}), samples = new Float32Array(2048);
    known.call(this, meter);
    setInterval(() => { meter.getFloatTimeDomainData(samples); output.now = Math.max(...samples.map(Math.abs));
      output.loudest = Math.max(output.loudest, output.now); }, 20);
  }
  return known.call(this, to, ...more);
};
"""
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
_PATIENCE_S, _ANSWER_S = 30.0, 120.0


class Page:
    """A page in the browser. `errors`: what its console has said of errors."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=_BEFORE)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol; returns its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv(timeout=_ANSWER_S))
            if told.get("id") == self._count:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        if told["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif told["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif told["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))

    def open(self, url: str, *, width: int = 1280, height: int = 900) -> None:
        """Go to `url` in a window of this size. 375 pixels and less are a phone."""
        self.errors.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width <= 375}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, which may be a promise."""
        given = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in given, given["exceptionDetails"]
        return given["result"].get("value")

    def until(self, script: str, within_s: float = _PATIENCE_S) -> Any:
        """Wait until the expression is true, and return it. The page looks at it itself, fifty times a second."""
        wait = (
            "new Promise((done) => { const end = performance.now() + %d; const look = () => { let value; "
            "try { value = %s; } catch { value = null; } if (value || performance.now() > end) done(value); "
            "else setTimeout(look, 20); }; look(); })"
        )
        value = self.run(wait % (within_s * 1000, script))
        assert value, f"not within {within_s} s: {script}; the page shows: {self.text()[:2000]}; errors: {self.errors}"
        return value

    def until_other(self, title: str) -> None:
        """Wait until there is another page, with a title that ends like this."""
        end = time.monotonic() + _PATIENCE_S
        while not any(one["title"].endswith(title) for one in self.call("Target.getTargets")["targetInfos"]):
            assert time.monotonic() < end, f"no page has the title {title!r}"
            self.run("new Promise((done) => setTimeout(done, 50))")

    def text(self) -> str:
        text: str = self.run("document.body.innerText")
        return text

    def click(self, id: str) -> None:
        self.run(f"document.getElementById({id!r}).click()")

    def press(self, key: str) -> None:
        """Press a key, as a user does."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        known = {"key": key, "windowsVirtualKeyCode": _KEYS[key], "code": "Space" if key == " " else key}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **known)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def shoot(self, path: Path) -> None:
        """A picture of all of the page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def browser(folder: Path, voice: Path | None = None, *flags: str) -> Iterator[Page]:
    """A browser with one page. `voice`: what its microphone hears, again and again; without it a beep each second."""
    heard = [f"--use-file-for-fake-audio-capture={voice}"] if voice is not None else []
    command = [chromium(), *_FLAGS, *flags, *heard, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "DevTools listening" in line)
            url = re.search(r"ws://\S+", line)
            assert url is not None
            with connect(_page_of(url[0]), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.kill()


def _page_of(url: str) -> str:
    """The socket of the browser's page."""
    with connect(url) as socket:
        for count in range(100):
            socket.send(json.dumps({"id": count, "method": "Target.getTargets"}))
            targets = json.loads(socket.recv(timeout=_PATIENCE_S))["result"]["targetInfos"]
            for target in targets:
                if target["type"] == "page":
                    return f"{url.partition('/devtools/')[0]}/devtools/page/{target['targetId']}"
            time.sleep(0.05)
    raise AssertionError("the browser has no page")
