"""Polish."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""i, oraz, a, albo, lub, ale, bo, ponieważ, gdyż, że, żeby, aby, jeśli, jeżeli, gdy, kiedy, chociaż,
        który, która, które, jak, niż, mój, moja, moje, twój, twoja, pana, pani, nasz, nasza, ten, ta, to, w,
        we, z, ze, na, do, od, dla, o, po, przy, przez, pod, nad, między, bez, jest, są, był, była, mam, ma,
        chcę, chciałbym, chciałabym, potrzebuję, myślę że, wydaje mi się, to znaczy, bardzo, nie, też, więc,
        może, ja, nazywam się, mój numer to""",
    loose="jest, są, był, była, też, nie, to, może",
    fillers="yyy, eee, hmm, no, no więc, zaraz, chwileczkę, moment, proszę poczekać, niech pomyślę, zobaczmy",
    questions="""co, kto, kogo, gdzie, dokąd, skąd, kiedy, dlaczego, czemu, jak, jaki, jaka, jakie, który,
        która, ile, czy, czy może, czy mogę, proszę""",
    answers="""tak, tak proszę, tak jest, nie, nie dziękuję, okej, ok, okay, dobrze, jasne, zgadza się,
        dokładnie, racja, dziękuję, dzięki, oczywiście, to wszystko, w porządku""",
    numbers="""zero, jeden, jedna, dwa, dwie, trzy, cztery, pięć, sześć, siedem, osiem, dziewięć, dziesięć,
        jedenaście, dwanaście, trzynaście, czternaście, piętnaście, szesnaście, siedemnaście, osiemnaście,
        dziewiętnaście, dwadzieścia, trzydzieści, czterdzieści, pięćdziesiąt, sześćdziesiąt, siedemdziesiąt,
        osiemdziesiąt, dziewięćdziesiąt, sto, tysiąc""",
    asks_number="numer, telefon, telefonu, kod, konta, karty, pin, przeliterować",
    asks_name="imię, nazwisko, nazywa, miasto, ulica, kraj, adres",
    backchannels="""mhm, mm, hm, hmm, aha, ach, och, eee, yyy, tak, tak tak, no, no tak, no no, okej, ok, okay, dobrze,
        dobra, jasne, rozumiem, rozumiem rozumiem, dokładnie, właśnie, racja, zgadza się, oczywiście, pewnie, super, świetnie,
        naprawdę, ha ha, haha, hahaha""",
)
