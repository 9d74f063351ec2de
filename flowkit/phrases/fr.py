"""French."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""et, ou, mais, donc, car, parce que, puisque, quand, lorsque, si, que, qui, dont, où, comme, pour,
        afin de, le, la, les, l, un, une, des, du, de, d, mon, ma, mes, ton, ta, tes, son, sa, ses, notre, nos,
        votre, vos, leur, leurs, ce, cet, cette, ces, à, au, aux, en, dans, avec, sans, par, sur, sous, entre,
        chez, vers, est, sont, était, suis, ai, a, avons, avez, ont, je, j, nous, je veux, je voudrais,
        j'aimerais, il me faut, j'ai besoin, je pense que, je crois que, c'est, il y a, très, ne, pas, aussi,
        alors, peut-être, je m'appelle""",
    loose="""est, sont, était, pas, aussi, avec, pour, dessus, alors, plus""",
    fillers="""euh, heu, hum, hmm, ben, bah, eh bien, voyons, attendez, un instant, un moment,
        laissez-moi réfléchir""",
    questions="""quel, quelle, quels, quelles, qui, que, quoi, qu'est-ce que, est-ce que, où, quand, pourquoi,
        comment, combien, pouvez-vous, pourriez-vous, peux-tu, y a-t-il, avez-vous, s'il vous plaît""",
    answers="""oui, oui merci, ouais, si, non, non merci, d'accord, ok, okay, bien sûr, exactement, exact,
        c'est ça, c'est tout, merci, merci beaucoup, parfait, tout à fait, très bien, voilà""",
    numbers="""zéro, un, une, deux, trois, quatre, cinq, six, sept, huit, neuf, dix, onze, douze, treize,
        quatorze, quinze, seize, vingt, trente, quarante, cinquante, soixante, cent, mille, double""",
    asks_number="numéro, téléphone, code, compte, carte, chiffres, épeler",
    asks_name="nom, prénom, appelez, ville, rue, pays, adresse",
    backchannels="""mhm, mm, mmh, hum, hm, ah, oh, euh, heu, oui, ouais, oui oui, d'accord, ok, okay, bien, très bien, bien sûr,
        je vois, je comprends, compris, entendu, exact, exactement, c'est ça, voilà, tout à fait, parfait, super, génial,
        ah bon, ah oui, vraiment, ha ha, haha, hahaha""",
)
