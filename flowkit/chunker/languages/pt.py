"""Portuguese."""

from .table import Language

LANGUAGE = Language(
    code="pt",
    titles="""sr sra srta srs sras dr dra drs D d dom prof profa eng arq gen cel cap ten sgt exmo exma ilmo p.ex ex
        p. cf vs av r. tv pça al rod jd vl st sto sta aprox máx mín incl""",
    numbers="""pág págs p pp n nº núm art arts fig vol cap tel jan fev mar abr mai jun jul ago set out nov dez ed
        ref apto bl""",
    words="no seg ter qua qui sex sáb dom ramal",
    units="min seg h hs km m kg g cm mm l ml s",
    opens="ltda s.a cia inc a.c d.c jr v.exa",
    lasts="etc a.m p.m",
    starters="""o a os as um uma uns umas eu tu você vocês ele ela nós eles elas meu minha teu tua seu sua nosso
        nossa este esta estes estas esse essa esses essas isso isto aquele aquela aquilo quem que qual quais quando
        onde como por quanto quantos é são era eram foi foram está estão estava há havia tem têm tenho temos pode
        podem posso podemos poderia quer quero deve devo vai vou vamos me te se lhe não sim claro obrigado obrigada
        olá oi desculpe infelizmente e mas ou porém se também então depois antes agora hoje amanhã ontem logo aqui
        ali lá além finalmente portanto assim contudo entretanto talvez provavelmente normalmente geralmente sempre
        nunca em no na nos nas de do da dos das com sem para pelo pela pelos até desde entre sobre após durante
        segundo ao à aos às todo todos toda todas cada alguns algumas algum muitos muitas vários várias nada ninguém
        algo alguém mais menos muito pouco só apenas outro outra outros outras ligue veja espere clique escolha
        lembre traga tente use abra aceitamos podem qual""",
    leading="""segunda terça quarta quinta sexta sábado domingo segunda-feira terça-feira quarta-feira quinta-feira
        sexta-feira""",
    code_example="exemplo de código",
)
