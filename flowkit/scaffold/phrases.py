"""What the files of a new project say, in each language that ``flowkit init`` knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language."""

    language: str
    """Its English name."""
    canned: str
    """What the agent of a text project answers until it has an LLM."""
    question: str
    answer: str
    """The first sentence of a reply. It contains `price`."""
    more: str
    """The second sentence."""
    price: str
    """A number that the chunker must not cut."""
    stop: str
    """What the user says to interrupt."""
    sorry: str
    """What the agent says if no LLM answers."""


LANGUAGES: Mapping[str, Texts] = {
    "en": Texts(
        language="English",
        canned="Hello. I have no language model yet. The file agent.yaml says how to give me one.",
        question="What does the ticket cost?",
        answer="The ticket costs 3.50 euros.",
        more="You can buy it at the machine on the platform.",
        price="3.50",
        stop="Thank you, that is enough.",
        sorry="Sorry, I cannot answer right now.",
    ),
    "de": Texts(
        language="German",
        canned="Hallo. Ich habe noch kein Sprachmodell. In agent.yaml steht, wie ich eines bekomme.",
        question="Was kostet die Fahrkarte?",
        answer="Die Fahrkarte kostet 3,50 Euro.",
        more="Sie bekommen sie am Automaten auf dem Bahnsteig.",
        price="3,50",
        stop="Danke, das genügt.",
        sorry="Entschuldigung, ich kann gerade nicht antworten.",
    ),
    "es": Texts(
        language="Spanish",
        canned="Hola. Todavía no tengo un modelo de lenguaje. El archivo agent.yaml dice cómo darme uno.",
        question="¿Cuánto cuesta el billete?",
        answer="El billete cuesta 3,50 euros.",
        more="Puede comprarlo en la máquina del andén.",
        price="3,50",
        stop="Gracias, es suficiente.",
        sorry="Perdón, ahora no puedo responder.",
    ),
    "fr": Texts(
        language="French",
        canned="Bonjour. Je n'ai pas encore de modèle de langage. Le fichier agent.yaml dit comment m'en donner un.",
        question="Combien coûte le billet ?",
        answer="Le billet coûte 3,50 euros.",
        more="Vous pouvez l'acheter à la machine sur le quai.",
        price="3,50",
        stop="Merci, cela suffit.",
        sorry="Pardon, je ne peux pas répondre maintenant.",
    ),
    "it": Texts(
        language="Italian",
        canned="Ciao. Non ho ancora un modello linguistico. Il file agent.yaml dice come darmene uno.",
        question="Quanto costa il biglietto?",
        answer="Il biglietto costa 3,50 euro.",
        more="Può comprarlo alla macchina sul binario.",
        price="3,50",
        stop="Grazie, basta così.",
        sorry="Mi dispiace, ora non posso rispondere.",
    ),
    "pt": Texts(
        language="Portuguese",
        canned="Olá. Ainda não tenho um modelo de linguagem. O ficheiro agent.yaml diz como me dar um.",
        question="Quanto custa o bilhete?",
        answer="O bilhete custa 3,50 euros.",
        more="Pode comprá-lo na máquina da plataforma.",
        price="3,50",
        stop="Obrigado, já chega.",
        sorry="Desculpe, agora não posso responder.",
    ),
}
