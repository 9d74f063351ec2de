"""Urdu."""

from .table import Language

LANGUAGE = Language(
    code="ur",
    titles="ڈاکٹر پروفیسر جناب dr mr mrs prof",
    opens="وغیرہ etc",
    starters="یہ وہ ہم آپ میں کیا کب کہاں کیسے کون کیوں اور لیکن اگر تو پھر جی ہاں نہیں شکریہ",
    code_example="کوڈ کی مثال",
)
