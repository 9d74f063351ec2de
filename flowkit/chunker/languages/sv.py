"""Swedish."""

from .table import Language

LANGUAGE = Language(
    code="sv",
    titles="""dr prof hr fr t.ex t d.v.s dvs bl.a bl ca vs s.k f.d fr.o.m t.o.m p.g.a pga m.fl. jfr resp inkl exkl
        max st civ ing""",
    numbers="nr s sid kap fig tel jan feb mar apr jun jul aug sept okt nov dec art",
    units="min sek tim kg g km m cm mm l ml kr st",
    opens="m.m m.fl mm mfl o.s.v f.kr e.kr kl ab",
    lasts="osv etc",
    starters="""jag du han hon den det vi ni de man min din sin vår er deras denna detta dessa vem vad var när
        varför hur vilken är var har hade kan kunde ska skulle vill måste får finns ja nej inte men och eller om
        eftersom så sedan nu idag imorgon igår här där också bara redan mycket i på av för med till från vid efter
        före utan under alla allt många några ingen inget tack tyvärr kanske""",
    code_example="kodexempel",
)
