"""Korean. A full stop after Hangul is an ordinary one."""

from .table import Language

LANGUAGE = Language(
    code="ko", titles="dr mr mrs ms prof vs e.g i.e", opens="etc inc ltd co corp a.m p.m", code_example="코드 예시"
)
