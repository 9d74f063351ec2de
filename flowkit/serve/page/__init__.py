"""The page of ``flowkit serve``: talk, see, and look inside. Files for a browser, as they are: there is no build step.

Read ``page.js`` first. ``realtime.js`` speaks the protocol, ``sound.js`` and ``worklets.js`` hear and play, ``conversation.js``
shows what was said, and ``inside.js`` what an observation tells.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from flowkit.printable import one_line
from flowkit.serve.http import HttpAnswer

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_SHARED = "report.css"
"""The style that the page has in common with reports."""
ASSETS = (_SHARED, "page.css", "page.js", "realtime.js", "sound.js", "worklets.js", "conversation.js", "inside.js")
_HEADERS = (
    # What was said is data. No script, style, picture or form of another place can come into the page.
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "microphone=(self), camera=(), geolocation=()"),
)


def index(pipeline: str, *, token: bool) -> HttpAnswer:
    """The page itself. `token`: it has to ask for a token."""
    text = (files(__name__) / "index.html").read_text("utf-8")
    text = text.replace("{{TOKEN}}", "needed" if token else "none").replace("{{NAME}}", escape(one_line(pipeline)))
    return HttpAnswer(200, text.encode(), f"{_TYPES['html']}; charset=utf-8", _HEADERS)


def asset(name: str) -> HttpAnswer:
    """One of the files in ASSETS."""
    place = files("flowkit.report") / "page.css" if name == _SHARED else files(__name__) / name
    return HttpAnswer(200, place.read_bytes(), f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8", _HEADERS[:1])
