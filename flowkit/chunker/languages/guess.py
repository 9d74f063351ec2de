"""Which language a text is in: by its script and, in Latin script, by its small words."""

from __future__ import annotations

_SCRIPTS = (
    (0x0370, 0x03FF, "el"), (0x0400, 0x052F, "ru"), (0x0590, 0x05FF, "he"), (0x0600, 0x06FF, "ar"),
    (0x0900, 0x097F, "hi"), (0x0E00, 0x0E7F, "th"), (0x3040, 0x30FF, "ja"), (0x4E00, 0x9FFF, "zh"), (0xAC00, 0xD7AF, "ko"),
)  # fmt: skip

_SMALL = {
    "en": "the is are you your of and to it i'm i'll can this that with for my we have do what would sure yes not please",
    "de": "der die das ist sind sie und nicht ich ein eine mit zu den dem von wir ihr ihnen für auf bitte wie auch kann",
    "fr": "le les est vous je et une des du nous pas pour avec dans votre c'est ce sur que qui oui merci bonjour",
    "es": "el los las es usted y una del por su con para está qué cómo sí muy hola gracias puede lo pero",
    "it": "il gli è lei e una della per con sono che non di ciao grazie può questo come dal anche ho",
    "pt": "o os as é você e uma do da em não com para seu sua obrigado olá pode mais isso está são um",
    "nl": "het een is zijn u je en van niet ik met voor dat wij op ook kunt naar deze wat dank hoi",
    "pl": "jest nie się i w na do to że z pan pani proszę dziękuję tak co jak czy od dla",
    "tr": "bir ve bu için ile değil mi mı siz evet hayır var yok çok lütfen nasıl ne olarak",
    "sv": "och är det att en jag du inte på för med som av till har kan vi tack hej",
}
_VOTES: dict[str, list[str]] = {}
"""Languages by small word; filled when the first text in Latin script needs it."""


def guess(text: str, usual: str) -> str | None:
    """The code of the language that `text` seems to be in; `usual` if that is as likely as another; None if the text
    gives no hint.

    Kana identifies Japanese even among ideographs, and Urdu's full stop identifies Urdu.
    """
    if text.isascii():
        return _by_small_words(text, usual)
    seen = {code for char in set(text) if ord(char) >= _SCRIPTS[0][0] and (code := _script(ord(char)))}
    if "ar" in seen:
        return "ur" if any(char in text for char in "۔ےٹںہ") else "ar"
    for code in ("ja", "zh", "ko", "hi", "ru", "el", "he", "th"):
        if code in seen:
            return code
    return _by_small_words(text, usual)


def _script(code: int) -> str | None:
    return next((name for low, high, name in _SCRIPTS if low <= code <= high), None)


def _votes() -> dict[str, list[str]]:
    votes: dict[str, list[str]] = {}
    for code, words in _SMALL.items():
        for word in words.split():
            votes.setdefault(word, []).append(code)
    return votes


def _by_small_words(text: str, usual: str) -> str | None:
    if not _VOTES:
        _VOTES.update(_votes())
    votes: dict[str, int] = {}
    for word in text.lower().replace("’", "'").split():
        for code in _VOTES.get(word.strip('.,;:!?¿¡"()*'), ()):
            votes[code] = votes.get(code, 0) + 1
    if not votes:
        return None
    best = max(votes.values())
    return usual if votes.get(usual) == best else next(code for code, count in votes.items() if count == best)
