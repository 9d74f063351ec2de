"""The clause chunker: text from an LLM in, speakable chunks out. Usable alone.

Reading order: `chunk` (what comes out), `rules` (what can be set), `core` (the incremental machine), `marks` (what to
do at a punctuation mark), `stops` and `clauses` (where sentences and clauses end). Then `spans` (what is never cut),
`languages` (one data file each), `speak` (what TTS gets; `markup` if there is any).

Nothing here imports `dataclasses` or `typing`, because importing them takes longer than everything else: see `value`.
"""

from .chunk import Chunk, Reason
from .core import Chunker
from .rules import FirstRules, Rules, SpeakRules, lint

__all__ = ["Chunk", "Chunker", "FirstRules", "Reason", "Rules", "SpeakRules", "lint"]
