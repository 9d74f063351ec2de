"""All other languages: what most languages in Latin script have in common."""

from .table import Language

LANGUAGE = Language(
    code="base",
    titles="dr prof mr mrs ms sr sra st vs e.g i.e cf ca ing",
    numbers="nr fig vol pp p art tel jan feb apr jun jul aug sept okt oct nov dec",
    words="no mar",
    units="min sec h kg g km m cm mm l ml",
    opens="inc ltd co corp u.s jr",
    lasts="etc a.m p.m",
    ordinals="lower",
)
