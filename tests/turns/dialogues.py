"""What is said in the set of turns: the agent's question, and the answer with a bar wherever the speaker pauses.

Written before the rules of ``words`` were tuned on every other line. A double bar is a pause between two sentences, where
words cannot tell that the speaker goes on. No line stands in a table of ``flowkit.phrases``.
"""

from __future__ import annotations

_EN = """
Hello, this is the town's theatre. What can I do for you?
  I'd like to reserve | two seats for the play on Friday evening.
  Are there any | tickets left for the matinee?
  Could you tell me when the doors | open tonight?
  I'd like to cancel the seats I booked yesterday.
  We were hoping to bring | our whole class next Tuesday.
  Is there parking close to | the main entrance?
  What does a season ticket cost?
  My husband bought the wrong | tickets, and he'd like to change them.
  I've lost my scarf in the theatre. || It's a green one with white stripes.
  Um | do you have anything for children?
How many people will be coming?
  Five.
  There will be seven | or maybe eight of us.
  Just my daughter and me.
  Well | that depends on the price.
  Four adults and | three children.
  Twelve, I believe.
Which row would you like?
  Somewhere in the middle | if that's still possible.
  The front row, please.
  I don't mind at all.
  As close to the | stage as you can get us.
  Row nine.
What is your phone number?
  Oh four seven | two two nine | six three eight.
  It's zero one six one | four nine six | zero two seven one.
  Seven eight two | four four one | nine oh three five.
  You can reach me at | three six eight | five one two | nine nine four.
  I don't have one.
  Two one two | five eight | seven six | three four.
  Sure, it's | nine one nine | two four six | eight oh eight.
Can you give me your order number?
  It's one seven | four nine | eight two.
  Let me look | it's four four | zero nine one.
  I can't find it anywhere.
  The letter says | nine six two | three three one.
Could you spell your last name for me?
  Yes, it's H | A | R | T.
  M | C | K | A | Y.
  It's Wilson | with one L.
What is your name?
  My name is Peter | Lindqvist.
  Caroline Baker.
  It's Thomas | with an H | and the last name is Webb.
  This is Doctor Evans from | the clinic downstairs.
What seems to be the problem?
  The washing machine has been leaking since | Monday morning.
  My screen stays black when I | turn the computer on.
  Every time I open the door | there's a loud beep.
  It doesn't start.
  The heating in our | living room has stopped working.
  I spilled some coffee on | the keyboard last night.
  Something is wrong with the bill you | sent me in March.
  The printer prints | only half of every page.
  It's making a very | strange noise.
Has this happened before?
  Yes.
  No, never.
  I think it happened once | during the winter.
  Not that I remember.
  It started about | three weeks ago.
Do you want me to send a technician?
  That would be great.
  Only if he can come before | the weekend.
  No, I'd rather bring | it to the shop myself.
  Yes, as soon as possible.
  How much would | that cost me?
  Hmm | I'm not sure yet.
When would you be at home?
  Any day after four | in the afternoon.
  On Thursday between | nine and twelve.
  Tomorrow.
  I'm usually back from | work around six.
  Wednesday would be best. || But not before ten, please.
  I could be there by | half past three.
Where should he go?
  Seventeen | Orchard Lane.
  It's the second house behind the | old fire station.
  Two hundred and five | River Street | in Newport.
  To the same place as last time.
  Our office is on the | third floor of the library.
How would you like to pay?
  By card.
  I would prefer to | pay in cash when he comes.
  Can I pay with | a voucher I got for Christmas?
  Please send the bill to | my company.
Is there anything else?
  No, that was everything.
  Yes, I was also going to ask about | the insurance.
  Could you please send me | an email with all the details?
  One more thing. || Does he need to see the old receipt?
  Nothing at the moment.
  Can you remind me | a day before the visit?
What kind of music do you enjoy?
  Mostly classical music | and some old blues records.
  Anything with a good | guitar in it.
  I used to listen to | a lot of opera when I was younger.
  It really depends on my mood.
  I like quiet songs. || Especially in the evening.
Tell me about your last holiday.
  We drove all the way to | Portugal with a tiny caravan.
  We went to see my parents in the | mountains for a week.
  It rained every day but | we still had a wonderful time.
  The best part was when | the children saw a whale.
  I stayed at home.
  Last summer my brother and I | climbed our first glacier.
"""
_DE = """
Guten Tag, was kann ich für Sie tun?
  Ich möchte gern einen Tisch für | vier Personen reservieren.
  Können Sie mir sagen, wann der nächste | Zug nach Bremen fährt?
  Ich habe gestern ein Paket bekommen, das | leider beschädigt war.
  Ich brauche einen Termin beim Zahnarzt.
  Haben Sie noch Zimmer frei?
Wie ist Ihre Telefonnummer?
  Null vier zwei | drei eins sechs | acht acht neun.
  Das ist die eins sieben drei | vier vier null | zwei sechs.
Wann passt es Ihnen am besten?
  Am Donnerstag nach | der Arbeit.
  Morgen früh.
  Äh | vielleicht nächste Woche.
Möchten Sie eine Rechnung?
  Ja, bitte.
  Nein, das ist nicht nötig.
  Ja, und schicken Sie sie an | meine Firma.
"""
_ES = """
Buenos días, ¿en qué puedo ayudarle?
  Quisiera reservar una mesa para | cuatro personas.
  ¿Me puede decir a qué hora sale el | próximo tren a Sevilla?
  Ayer recibí un paquete que | llegó roto.
  Necesito una cita con el dentista.
  ¿Tienen habitaciones libres?
¿Cuál es su número de teléfono?
  Seis uno dos | cuatro cinco ocho | siete siete nueve.
  Es el nueve uno | tres cuatro cero | dos ocho seis.
¿Cuándo le viene bien?
  El jueves después del | trabajo.
  Mañana por la mañana.
  Pues | quizás la próxima semana.
¿Quiere una factura?
  Sí, por favor.
  No, no hace falta.
  Sí, y mándela a | mi empresa.
"""
_FR = """
Bonjour, que puis-je faire pour vous ?
  Je voudrais réserver une table pour | quatre personnes.
  Pouvez-vous me dire quand part le | prochain train pour Lyon ?
  J'ai reçu hier un colis qui | était abîmé.
  J'ai besoin d'un rendez-vous chez le dentiste.
  Avez-vous encore des chambres libres ?
Quel est votre numéro de téléphone ?
  Zéro six | quatre deux | un huit | neuf sept.
  C'est le zéro un | trois trois | cinq deux.
Quand cela vous convient-il ?
  Jeudi après | le travail.
  Demain matin.
  Euh | peut-être la semaine prochaine.
Voulez-vous une facture ?
  Oui, s'il vous plaît.
  Non, ce n'est pas la peine.
  Oui, et envoyez-la à | mon entreprise.
"""
_TEXTS = {"en": _EN, "de": _DE, "es": _ES, "fr": _FR}


def dialogues(language: str) -> list[tuple[str, str]]:
    """What the agent asked and what the user answers, in order."""
    found, asked = [], ""
    for line in _TEXTS[language].strip().splitlines():
        if line.startswith(" "):
            found.append((asked, line.strip()))
        else:
            asked = line.strip()
    return found
