"""Portuguese."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""e, ou, mas, porque, pois, embora, se, quando, enquanto, que, como, para, para que, o, a, os, as,
        um, uma, uns, umas, meu, minha, meus, minhas, seu, sua, nosso, nossa, este, esta, esse, essa, de, do,
        da, dos, das, em, no, na, nos, nas, com, sem, por, pelo, pela, sobre, entre, até, é, são, está, era,
        ser, sou, tenho, tem, há, quero, queria, gostaria de, preciso, preciso de, acho que, penso que,
        quer dizer, muito, não, também, então, talvez, eu, meu nome é, o meu número é""",
    loose="""é, são, era, está, não, também, isso, isto, mais""",
    fillers="""é, hum, ahn, hmm, bem, bom, então, deixa ver, deixe-me ver, deixe-me pensar, um momento, espera,
        espere""",
    questions="""o que, que, quem, onde, aonde, quando, por que, porquê, como, qual, quais, quanto, quanta,
        quantos, quantas, pode, poderia, há, tem, você pode, por favor""",
    answers="""sim, sim por favor, não, não obrigado, não obrigada, ok, okay, claro, está bem, tudo bem, certo,
        exato, isso, é isso, obrigado, obrigada, muito obrigado, perfeito, é só isso""",
    numbers="""zero, um, uma, dois, duas, três, quatro, cinco, seis, meia, sete, oito, nove, dez, onze, doze,
        treze, catorze, quinze, dezesseis, dezassete, dezessete, dezoito, dezenove, vinte, trinta, quarenta,
        cinquenta, sessenta, setenta, oitenta, noventa, cem, cento, mil""",
    asks_number="número, telefone, código, conta, cartão, dígitos, cep, soletrar",
    asks_name="nome, chama, cidade, rua, país, endereço, morada",
    backchannels="""mhm, mm, hm, hum, aham, uhum, ah, oh, ahn, sim, sim sim, é, tá, tá bom, está bem, tudo bem, ok, okay, bom, bem,
        muito bem, claro, certo, entendi, percebo, entendo, exato, exatamente, isso, pois, pois é, perfeito, ótimo, legal,
        sério, ha ha, haha, rsrs""",
)
