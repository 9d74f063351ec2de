"""Italian."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""e, ed, o, ma, però, perché, poiché, se, quando, mentre, che, come, anche se, il, lo, la, i, gli,
        le, un, uno, una, mio, mia, miei, mie, tuo, tua, suo, sua, nostro, nostra, questo, questa, di, del,
        dello, della, dei, delle, a, al, alla, ai, in, nel, nella, con, senza, per, da, dal, dalla, su, sul,
        sulla, tra, fra, è, sono, era, ho, ha, abbiamo, hanno, vorrei, voglio, ho bisogno di, mi serve,
        penso che, credo che, cioè, molto, non, anche, allora, forse, io, mi chiamo, il mio numero è""",
    loose="""è, sono, era, ha, no, non, anche, così, questo, quello, più""",
    fillers="""ehm, eh, uhm, mmm, hmm, allora, beh, vediamo, un attimo, un momento, aspetti, aspetta,
        mi faccia pensare""",
    questions="""che, che cosa, cosa, chi, dove, quando, perché, come, quale, quali, quanto, quanta, quanti,
        quante, può, puoi, potrebbe, c'è, ci sono, ha, avete, per favore""",
    answers="""sì, si, sì grazie, no, no grazie, va bene, ok, okay, certo, d'accordo, giusto, esatto, corretto,
        grazie, grazie mille, perfetto, è tutto, basta così""",
    numbers="""zero, uno, una, due, tre, quattro, cinque, sei, sette, otto, nove, dieci, undici, dodici,
        tredici, quattordici, quindici, sedici, diciassette, diciotto, diciannove, venti, trenta, quaranta,
        cinquanta, sessanta, settanta, ottanta, novanta, cento, mille, doppio""",
    asks_number="numero, telefono, codice, conto, carta, cifre",
    asks_name="nome, cognome, chiama, città, via, paese, indirizzo",
    backchannels="""mhm, mm, mmm, hm, ah, oh, eh, ehm, sì, si, sì sì, va bene, ok, okay, bene, molto bene, certo, capisco, capito,
        ho capito, d'accordo, esatto, giusto, perfetto, ottimo, ecco, già, davvero, ah sì, ha ha, haha, ahah""",
)
