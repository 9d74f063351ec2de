"""English."""

from .table import Language

LANGUAGE = Language(
    code="en",
    titles="""dr mr mrs ms mx messrs prof rev hon gen col maj capt cpt cmdr lt sgt cpl pvt adm sen rep gov pres amb
        supt fr sr.a mme mlle e.g i.e eg ie vs v viz cf approx ca incl excl esp resp aka assoc asst dept univ gov't
        nat'l int'l hwy Mt Ft rte bldg assn soc inst acad ibid op cit p.s n.b wm geo chas thos jos insp pfc ens Sec
        Det Ald intl natl attn govt mgr mgmt""",
    numbers="""fig figs vol vols nr nos pp p para paras chap sect eq eqs tbl App jan feb apr jun jul aug sept oct
        nov dec ext tel ps mon tue tues wed thu thur thurs fri Sat Sun Mar Ala Ariz Ark Calif Colo Conn Del Fla Ga
        Ill Ind Kan Ky La Md Mass Mich Minn Miss Mo Mont Neb Nev Okla Ore Pa Penn Tenn Tex Va Vt Wash Wis Wyo""",
    words="no sat sun mar art sec pt line col ed lot cap pos ref",
    units="""min mins sec secs hr hrs h in ft yd yds mi oz lb lbs g kg mg km cm mm m l ml gal qt tsp tbsp sq cu ga
        deg yr yrs wk wks mo mos s""",
    opens="""inc ltd co corp llc bros mfg jr sr esq st ave blvd rd ter ln ct pl pkwy sq apt u.s u.k e.u d.c b.c a.d
        ph.d m.d b.a m.a al est dist""",
    lasts="etc p.m a.m pm am",
    zones="eastern pacific central mountain standard daylight greenwich atlantic alaska hawaii",
    clipped=0,
    names="yahoo jeopardy wham ahoy yum panic kahoot",
    starters="""i you he she it we they this that these those there here the a an my your his her its our their who
        whom what which when where why how whose is are was were am be do does did don't doesn't didn't have has had
        haven't can can't could couldn't would wouldn't will won't shall should shouldn't must isn't aren't wasn't
        let let's please if and but or so because since although though while as at in on by for from to with
        without within after before during until once then next now also however therefore instead otherwise
        meanwhile additionally furthermore moreover finally first second third lastly overall maybe perhaps probably
        actually basically generally usually often sometimes always never just only even still yes no not nobody
        nothing everyone everything everybody someone something anyone anything all any some many most more much few
        several each every both either neither one two three four five another other others such same thanks thank
        sorry sure okay ok oh well hi hello great good bring call check click press go get take make give try use
        keep visit see look note remember ask tell say start stop open close turn feel want need today tomorrow
        yesterday tonight later soon again too that's there's it's what's who's here's how's where's unlike
        according despite given depending parking people""",
    following="apt suite ste unit floor fl bldg room rm ext extension dds rn cpa esquire",
    leading="monday tuesday wednesday thursday friday saturday sunday",
)
