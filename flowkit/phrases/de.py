"""German."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""und, oder, aber, sondern, denn, weil, da, dass, damit, wenn, falls, ob, obwohl, während, bevor,
        nachdem, als, wie, der, die, das, den, dem, des, ein, eine, einen, einem, einer, mein, meine, meinen,
        meinem, meiner, dein, deine, sein, seine, ihr, ihre, unser, unsere, diese, dieser, dieses, zu, zum, zur,
        von, vom, mit, ohne, in, im, ins, auf, an, am, bei, beim, für, aus, nach, über, unter, vor, hinter,
        neben, zwischen, gegen, um, durch, ist, sind, war, waren, bin, habe, hat, haben, hatte, wird, würde,
        möchte, ich möchte, ich hätte gern, ich brauche, ich will, ich glaube, ich denke, ich meine, nämlich,
        sehr, nicht, auch, dann, vielleicht, eigentlich, ich, wir, also""",
    loose="""an, auf, aus, ein, mit, vor, zu, ab, um, durch, nach, über, unter, ist, sind, war, waren, bin, habe, hat, haben,
        hatte, wird, würde, möchte, nicht, auch, dann""",
    fillers="""äh, ähm, hm, hmm, öh, tja, na ja, mal sehen, moment, einen moment, warten sie,
        lassen sie mich überlegen""",
    questions="""was, wer, wen, wem, wo, wohin, woher, wann, warum, wieso, wie, welche, welcher, welches,
        wie viel, wie viele, ist, sind, kann, können, könnten, darf, haben, hat, gibt, gibt es, muss, bitte""",
    answers="""ja, ja bitte, ja genau, jawohl, genau, nein, nein danke, nee, okay, ok, gut, gerne, gern, klar,
        richtig, stimmt, danke, vielen dank, natürlich, das war alles, in ordnung, passt""",
    numbers="""null, eins, ein, zwei, zwo, drei, vier, fünf, sechs, sieben, acht, neun, zehn, elf, zwölf,
        dreizehn, vierzehn, fünfzehn, sechzehn, siebzehn, achtzehn, neunzehn, zwanzig, dreißig, vierzig,
        fünfzig, sechzig, siebzig, achtzig, neunzig, hundert, tausend, doppel""",
    asks_number="nummer, telefonnummer, kundennummer, kontonummer, postleitzahl, pin, code, buchstabieren",
    asks_name="name, namen, heißen, stadt, ort, straße, adresse, land",
    backchannels="""mhm, hm, hmm, mm, aha, ah, oh, ach, ach so, achso, äh, ähm, ja, jaja, ja ja, jo, okay, ok, gut, genau, klar,
        richtig, stimmt, verstehe, ich verstehe, verstanden, alles klar, in ordnung, sicher, natürlich, super, prima,
        schön, toll, echt, wirklich, eben, ha ha, haha, hahaha""",
)
