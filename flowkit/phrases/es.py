"""Spanish."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""y, e, o, u, pero, sino, porque, aunque, si, cuando, mientras, que, como, para, para que, el, la,
        los, las, un, una, unos, unas, mi, mis, tu, su, sus, nuestro, nuestra, este, esta, estos, estas, de,
        del, a, al, en, con, sin, por, sobre, entre, desde, hasta, es, son, está, están, era, ser, soy, tengo,
        tiene, hay, quiero, quisiera, necesito, me gustaría, creo, creo que, pienso que, o sea, muy, no,
        también, entonces, quizás, yo, mi número es, me llamo""",
    loose="""es, era, son, está, no, también, entonces, esto, eso, más""",
    fillers="""eh, este, em, mmm, hmm, pues, bueno, a ver, déjame ver, déjeme pensar, un momento, espera, espere""",
    questions="""qué, quién, quiénes, dónde, adónde, cuándo, por qué, cómo, cuál, cuáles, cuánto, cuánta,
        cuántos, cuántas, puede, puedes, podría, hay, tiene, tienen, es, está, por favor""",
    answers="""sí, si, sí por favor, no, no gracias, vale, ok, okay, claro, claro que sí, de acuerdo, correcto,
        exacto, gracias, muchas gracias, eso es, eso es todo, está bien, perfecto""",
    numbers="""cero, uno, una, dos, tres, cuatro, cinco, seis, siete, ocho, nueve, diez, once, doce, trece,
        catorce, quince, dieciséis, diecisiete, dieciocho, diecinueve, veinte, treinta, cuarenta, cincuenta,
        sesenta, setenta, ochenta, noventa, cien, ciento, mil, doble""",
    asks_number="número, teléfono, código, cuenta, tarjeta, dígitos, pin, deletrear",
    asks_name="nombre, llama, ciudad, calle, país, dirección",
    backchannels="""mhm, mm, mmm, hm, ajá, aja, ah, oh, eh, em, sí, si, sí sí, vale, ok, okay, bien, muy bien, claro, claro que sí,
        ya, ya veo, entiendo, entendido, de acuerdo, exacto, correcto, perfecto, por supuesto, bueno, genial, qué bien,
        ah sí, en serio, ja ja, jaja, jajaja""",
)
