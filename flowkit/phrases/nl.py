"""Dutch."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""en, of, maar, want, omdat, dat, die, als, wanneer, terwijl, hoewel, dus, de, het, een, mijn, jouw,
        uw, zijn, haar, ons, onze, hun, deze, dit, te, om, van, voor, met, zonder, in, op, aan, bij, naar, uit,
        over, onder, tussen, tot, door, is, was, waren, ben, heb, heeft, hebben, had, wil, zou, kan, moet,
        ik wil, ik wil graag, ik zou graag, ik heb, ik denk dat, ik bedoel, heel, niet, ook, dan, misschien, ik,
        wij, mijn nummer is, ik heet""",
    loose="""op, aan, uit, in, door, voor, over, onder, om, is, was, waren, ben, heb, heeft, hebben, had, wil, zou, kan, moet,
        niet, ook, dan""",
    fillers="""eh, uh, uhm, ehm, hmm, nou, even kijken, even denken, een moment, wacht, wacht even,
        laat me even denken""",
    questions="""wat, wie, waar, waarheen, wanneer, waarom, hoe, hoeveel, welke, welk, kunt u, kun je, kan ik,
        mag ik, is, zijn, heeft, hebben, graag""",
    answers="""ja, ja graag, ja hoor, jawel, nee, nee dank je, nee bedankt, oké, ok, okay, goed, prima, klopt,
        precies, juist, bedankt, dank u, dank je wel, natuurlijk, dat is alles, in orde""",
    numbers="""nul, een, één, twee, drie, vier, vijf, zes, zeven, acht, negen, tien, elf, twaalf, dertien,
        veertien, vijftien, zestien, zeventien, achttien, negentien, twintig, dertig, veertig, vijftig, zestig,
        zeventig, tachtig, negentig, honderd, duizend, dubbel""",
    asks_number="nummer, telefoonnummer, klantnummer, postcode, code, pin, rekeningnummer, spellen",
    asks_name="naam, heet, stad, plaats, straat, land, adres",
    backchannels="""mhm, mm, hm, hmm, aha, ah, oh, eh, uh, uhm, ja, jaja, ja ja, oké, ok, okay, goed, prima, precies, juist, klopt,
        natuurlijk, zeker, duidelijk, ik snap het, ik begrijp het, begrepen, mooi, leuk, echt, echt waar, inderdaad,
        ha ha, haha, hahaha""",
)
