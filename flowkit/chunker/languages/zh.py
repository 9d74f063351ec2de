"""Chinese. Full-width marks end sentences, and so does an ASCII full stop after an ideograph."""

from .table import Language

LANGUAGE = Language(
    code="zh", titles="dr mr mrs ms prof vs e.g i.e", opens="etc inc ltd co corp a.m p.m", code_example="代码示例"
)
