"""Japanese. Full-width marks end sentences; an ASCII full stop behind an ideograph does too."""

from .table import Language

LANGUAGE = Language(
    code="ja", titles="dr mr mrs ms prof vs e.g i.e", opens="etc inc ltd co corp a.m p.m", code_example="コード例"
)
