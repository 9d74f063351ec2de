from __future__ import annotations

import json

import numpy as np
import pytest

from flowkit.cli import main
from flowkit.errors import DeviceError, ExitCode
from flowkit.providers import registry, weights
from flowkit.providers.groq import Groq
from flowkit.providers.sound import device_host
from flowkit.providers.sound.device_host import Format, Heard, Wanted, Wants
from flowkit.runtime import soundcheck
from flowkit.testing.emulators.groq import GroqEmulator
from flowkit.testing.emulators.server import running


class Air:
    """A host whose microphone records what its speaker plays, some blocks later.

    It calls the callbacks when they are waited for, without threads or time.
    """

    def __init__(self, delay_blocks: int, gain: float = 0.5) -> None:
        self._delayed = [bytes(640)] * delay_blocks
        self._gain = gain
        self._wants: Wants | None = None
        self._heard: Heard | None = None
        self._time_us = 0

    def now_us(self) -> int:
        return self._time_us

    def sound(self, wanted: Wanted, wants: Wants, gone: object) -> Air.Open:
        self._wants = wants
        return Air.Open()

    def listen(self, wanted: Wanted, heard: Heard, gone: object) -> Air.Open:
        self._heard = heard
        return Air.Open()

    def tick(self) -> None:
        self._time_us += 20_000
        block = (self._wants(False) if self._wants else None) or bytes(640)
        self._delayed.append((np.frombuffer(block, "<i2") * self._gain).astype("<i2").tobytes())
        assert self._heard is not None
        self._heard(self._delayed.pop(0), False)

    class Open:
        format = Format("air", 16_000, 1, 320)

        def alive(self) -> bool:
            return True

        def close(self) -> None: ...


@pytest.fixture
def air(monkeypatch: pytest.MonkeyPatch) -> Air:
    host = Air(delay_blocks=5)
    take = soundcheck._next

    def ticking(blocks, name):  # type: ignore[no-untyped-def]
        host.tick()
        return take(blocks, name)

    monkeypatch.setattr(soundcheck, "_next", ticking)
    return host


def test_the_round_trip_is_as_long_as_the_way(air: Air) -> None:
    trip = soundcheck.round_trip(None, None, air)  # type: ignore[arg-type]
    assert trip.us is not None
    assert abs(trip.us - 5 * 20_000) <= 20_000


def test_a_chirp_that_does_not_come_back_has_no_round_trip(air: Air) -> None:
    air._gain = 0.0
    assert soundcheck.round_trip(None, None, air).us is None  # type: ignore[arg-type]


def test_the_level_is_what_is_heard(air: Air) -> None:
    levels: list[float] = []
    heard = soundcheck.listen(None, 200_000, levels.append, air)  # type: ignore[arg-type]
    assert len(levels) == 10
    assert heard.peak_db == -96.0


def test_without_devices_doctor_says_so_and_tells_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device_host.PortAudio, "devices", lambda self: [])
    monkeypatch.setattr(device_host, "_library", lambda: None)
    assert main(["doctor"]) == ExitCode.UNAVAILABLE
    told = capsys.readouterr().out
    assert "there is no microphone on this machine" in told
    assert "there is no speaker on this machine" in told
    assert "event loop" in told
    assert "llm" in told


def test_what_keeps_every_device_away_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise DeviceError("sound devices need the PortAudio library", hint="install it")

    monkeypatch.setattr(device_host, "_library", missing)
    assert main(["doctor"]) == ExitCode.UNAVAILABLE
    assert capsys.readouterr().out.count("PortAudio") == 1


def test_keys_are_told_of_and_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-very-secret")
    assert main(["doctor", "--silent", "--format", "json"]) == ExitCode.FINE
    told = capsys.readouterr().out
    assert json.loads(told)["keys"]["GROQ_API_KEY"] is True
    assert "very-secret" not in told


def test_a_wrong_time_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--silent", "--listen", "2"]) == ExitCode.USAGE
    assert "needs a unit" in capsys.readouterr().err


def test_live_asks_what_has_a_model_or_a_service_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"silero", "groq", "cartesia", "canned", "nanotts"}
    rows = [row for row in registry.available() if row.name in names]
    monkeypatch.setattr(registry, "available", lambda: rows)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    code = main(["doctor", "--silent", "--live", "--format", "json"])
    asked = {answer["said"].split(":")[0]: answer for answer in json.loads(capsys.readouterr().out)["asked"]}
    assert code == ExitCode.UNAVAILABLE
    assert asked["vad silero"]["works"] is False
    assert "Silero VAD is not installed" in asked["vad silero"]["said"]
    assert asked["llm groq"] == {"works": None, "said": "llm groq: GROQ_API_KEY is not set"}
    assert "needs voice" in asked["tts cartesia"]["said"]
    nanotts = next(answer for title, answer in asked.items() if title.startswith("tts nanotts is ready"))
    assert nanotts["works"] is True
    assert len(asked) == 4, "there is nobody to ask behind canned"


def test_live_fails_where_a_service_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in registry.available() if row.name == "groq"]
    monkeypatch.setattr(registry, "available", lambda: rows)
    monkeypatch.setenv("GROQ_API_KEY", "wrong")
    with running(GroqEmulator()) as there:
        monkeypatch.setattr(Groq.Options.model_fields["base_url"], "default", there.url)
        Groq.Options.model_rebuild(force=True)
        try:
            assert main(["doctor", "--silent", "--live"]) == ExitCode.UNAVAILABLE
        finally:
            monkeypatch.undo()
            Groq.Options.model_rebuild(force=True)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("fails"))
    assert "llm groq: HTTP 401" in line
