"""Italian."""

from .table import Language

LANGUAGE = Language(
    code="it",
    titles="""sig sigg sig.ra sig.na sigra dott dott.ssa dottssa dr prof prof.ssa ing avv arch geom rag on sen gen
        col cap cav mons don es p.es ad.es cfr vs ca circa s ss st spett egr gent.mo gent.ma rif n. p.zza v.le""",
    numbers="""pag pagg p pp art artt n nr num fig vol cap tel ore gen feb mar apr mag giu lug ago set sett ott nov
        dic sec §""",
    words="no lun mer gio ven sab dom int",
    units="min h km m kg g cm mm l ml s",
    opens="s.p.a s.r.l spa srl inc ltd a.c d.c jr co",
    lasts="ecc etc",
    starters="""il lo la i gli le l' un uno una un' io tu lui lei noi voi loro mio mia tuo tua suo sua nostro nostra
        vostro questo questa questi queste quello quella quelli quelle ciò chi che cosa quale quali quando dove come
        perché quanto quanta quanti è sono era erano ha hanno ho abbiamo avete può possono posso possiamo potrebbe
        vuole vuoi voglio deve devo dobbiamo c' ci si mi ti vi ne non sì no certo grazie ciao salve scusi purtroppo
        e ed ma o oppure però se anche allora poi dopo prima adesso ora oggi domani ieri presto qui qua lì là
        inoltre infine quindi dunque pertanto tuttavia comunque invece altrimenti intanto forse probabilmente di
        solito spesso sempre mai a ad da di in con su per tra fra al allo alla ai agli alle del dello della dei
        degli delle dal dalla nel nella nei nelle sul sulla senza durante secondo tutto tutti tutta tutte ogni
        alcuni alcune qualche molti molte nessuno nessuna niente nulla qualcosa qualcuno più meno molto poco solo
        soltanto altro altra altri altre chiami prema scelga ricordi attenda venga veda vediamo prenda apra porti
        chieda provi li""",
    leading="lunedì martedì mercoledì giovedì venerdì sabato domenica",
    code_example="esempio di codice",
)
