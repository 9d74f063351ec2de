"""Dutch."""

from .table import Language

LANGUAGE = Language(
    code="nl",
    titles="""dr drs ir ing mr mevr mw dhr prof ds st bijv bv d.w.z dwz i.p.v o.a m.b.t t.o.v i.v.m ca vs incl excl
        max min evt resp ver zgn z.g.n t.a.v jl a.s z.s.m""",
    numbers="nr nrs art blz p pag fig tel jan feb mrt apr jun jul aug sept okt nov dec hfst ma di wo do vr za zo",
    units="min sec u kg g km m cm mm l ml",
    opens="e.d e.a b.v n.v inc ltd co p.p a.u.b s.v.p jr sr v.chr n.chr",
    lasts="enz etc",
    starters="""de het een ik jij je u hij zij ze wij we jullie mijn jouw uw zijn haar ons onze hun dit dat deze die
        wie wat waar wanneer waarom hoe welke is zijn was waren wordt worden heeft hebben had kan kunt kunnen kon
        zal zullen zou moet moeten mag mogen wil wilt willen gaat komt er hier daar nu dan daarna eerst later
        vandaag morgen gisteren maar en of want als omdat terwijl hoewel toch ook nog al alleen niet geen ja nee
        dank bedankt graag sorry helaas misschien met voor van naar bij op in aan om uit over onder na tot door
        zonder volgens alle alles veel sommige iedereen iemand niemand iets niets neem bel kijk klik kies let wacht
        ga kom""",
    leading="maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    code_example="codevoorbeeld",
)
