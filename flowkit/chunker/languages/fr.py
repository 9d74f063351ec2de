"""French."""

from .table import Language

LANGUAGE = Language(
    code="fr",
    titles="""M MM mm mme mmes mlle mlles dr pr me mgr st ste p.ex ex cf env c.-à-d av apr j.-c vs ca bd gal col cdt
        lt hon""",
    numbers="p pp art chap fig vol no nos réf tél janv févr avr juil sept oct nov déc al n° nº alin",
    words="ch sec lun mer jeu ven sam dim poste",
    units="min sec h km m kg g cm mm l ml s",
    opens="inc ltd cie sté s.a s.a.r.l jr sr bd av ap j.-c etc.",
    lasts="etc",
    starters="""je tu il elle on nous vous ils elles ce c' cela ça ceci le la les l' un une des du de d' au aux mon
        ma mes ton ta tes son sa ses notre nos votre vos leur leurs cet cette ces qui que qu' quoi quel quelle quels
        quelles quand où comment pourquoi combien est sont était étaient a ont avait avez êtes sommes suis ai peut
        peuvent pouvez puis dois doit devez faut voulez veuillez souhaitez si s' et mais ou donc or ni car ne n' j'
        t' m' y en dans sur sous avec sans pour par vers chez entre après avant pendant depuis dès jusqu' lorsque
        lorsqu' comme puisque parce bien oui non merci bonjour désolé voici voilà alors ensuite enfin puis aussi
        cependant toutefois pourtant néanmoins ainsi sinon d'abord maintenant aujourd'hui demain hier bientôt ici là
        tout tous toute toutes chaque plusieurs certains certaines aucun aucune rien personne quelques beaucoup très
        trop plus moins même seul seule autre autres dites appelez prenez notez voyez essayez appuyez cliquez ouvrez
        attendez regardez allez faites n'oubliez n'hésitez profitez dernièrement malheureusement peut-être
        normalement généralement souvent parfois toujours jamais selon malgré grâce""",
    following="rue avenue av boulevard bd place quai allée chemin impasse route cours poste apt",
    leading="lundi mardi mercredi jeudi vendredi samedi dimanche",
    code_example="exemple de code",
)
