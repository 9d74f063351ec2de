"""German."""

from .table import Language

LANGUAGE = Language(
    code="de",
    titles="""dr prof hr hrn fr frl mag dipl ing dipl.-ing dipl.-kfm rer nat med phil jur habil hl st z.b z d.h d
        u.a u.ä bzw ca vgl evtl ggf inkl exkl zzgl sog gem lt insb bspw z.t i.d.r z.zt mind max vs geb gest verh
        abzgl einschl ausschl entspr o.g s.o s.u v.a m.e u.u i.a i.v e.v allg bes betr bzgl eigtl ehem jew jmd tägl
        teilw ursprgl versch wg zus od dt engl frz abs. gebr mio mrd tsd""",
    numbers="""ff nr nrn abs art abb bd bde kap tel s seite ziff aufl anm jan feb apr jun jul aug sep sept okt nov
        dez ps lit rn rdnr pos fa. plz mo di mi do fr sa so""",
    words="so mo di mi do fr sa mär ab",
    units="min std sek st stk kg g km m cm mm l ml h qm",
    opens="str co kg jh jhs chr v.chr n.chr a.d mwst p.a tr pl inc ltd corp bhf",
    lasts="usw etc usf u.s.w",
    names="yahoo",
    starters="""der die das den dem des ein eine einen einem einer eines ich du er sie es wir ihr man mein meine
        dein deine sein seine ihre unser unsere euer eure mich mir dich dir ihn ihm ihnen uns euch wer was wann wo
        warum wie wieso weshalb wozu wohin woher welche welcher welches ist sind war waren bin bist wird werden
        wurde wurden hat haben hatte hatten habe kann können könnte könnten konnte soll sollen sollte sollten sollst
        muss müssen müsste darf dürfen möchte möchten möchtest will wollen wollten würde würden mag gibt geht kommt
        kommen passt gilt bitte danke gern gerne ja nein nicht kein keine doch aber und oder denn weil wenn falls ob
        als da damit dass obwohl während bevor nachdem sobald solange dann danach davor dort hier jetzt nun heute
        morgen gestern später bald zuerst zunächst schließlich außerdem zudem deshalb deswegen daher darum trotzdem
        dennoch allerdings jedoch sonst also auch nur noch schon sehr so alle alles viele einige manche jeder jede
        jedes beide beides andere dies diese dieser dieses diesen jene jener leider natürlich vielleicht
        wahrscheinlich eigentlich insgesamt normalerweise meistens oft manchmal immer nie niemand jemand etwas
        nichts mit ohne für gegen bei nach von zu zum zur aus auf an am im in über unter vor hinter neben zwischen
        seit bis durch um wegen trotz laut dazu dabei darauf davon dafür dagegen darüber haben sagen fragen nehmen
        geben rufen kommen gehen machen achten beachten drücken wählen öffnen schließen klicken warten melden
        schreiben zeigen ausnahmen mehr weitere damals""",
    leading="montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so",
    ordinals="all",
    endings="str",
    code_example="Codebeispiel",
)
