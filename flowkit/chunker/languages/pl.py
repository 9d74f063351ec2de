"""Polish."""

from .table import Language

LANGUAGE = Language(
    code="pl",
    titles="""dr prof mgr inż hab ks św gen płk kpt mjr por sierż red abp bp o s al ul pl os np m.in tzn tj tzw ok
        ww dot wg zob por ps godz woj pow gm im pn wt śr czw pt sob niedz ub bm""",
    numbers="nr str s r poz art ust pkt rys tab t tel tys mln mld rozdz godz",
    units="min sek km m kg g cm mm l ml zł gr",
    opens="r w wiek sp z.o.o o.o s.a n.e p.n.e inc ltd co",
    lasts="itd itp etc",
    starters="""to ten ta te ja ty on ona ono my wy oni one pan pani państwo mój moja twój jego jej nasz wasz ich
        kto co kiedy gdzie dlaczego jak ile który która które czy jest są był była było były będzie będą ma mają mam
        może mogę można proszę dziękuję tak nie ale i a oraz lub albo jeśli jeżeli gdy ponieważ bo więc zatem jednak
        potem później teraz dziś dzisiaj jutro wczoraj tu tutaj tam również także tylko już jeszcze bardzo w we na z
        ze do od dla po przed przez pod nad przy bez o u za wszystko wszyscy każdy każda niektóre wiele nic nikt coś
        ktoś""",
    leading="poniedziałek wtorek środa czwartek piątek sobota niedziela",
    ordinals="lower",
    code_example="przykład kodu",
)
