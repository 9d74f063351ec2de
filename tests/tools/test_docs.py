from __future__ import annotations

import shutil

import pytest

from tools import docs


def test_without_node_it_says_that_the_search_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert docs.ask_the_search().returncode == 0
    assert "the search is not checked: there is no Node" in capsys.readouterr().err
