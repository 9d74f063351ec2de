"""English."""

from flowkit.phrases.table import Endings

ENDINGS = Endings(
    opens="""and, or, but, so, because, since, although, though, if, when, while, unless, until, that, which,
        who, whose, than, as, like, the, a, an, my, your, his, her, its, our, their, this, these, those, some,
        any, every, to, of, in, on, at, for, from, with, without, by, about, into, between, near, under, over,
        is, are, was, were, am, i'm, it's, that's, there's, be, been, have, has, had, will, would, could,
        should, can, might, must, do, does, did, don't, going to, want to, i want, i need, i would like,
        i'd like, let me, tell me, i think, i guess, i mean, you know, i was wondering, wondering if, whether,
        spelled, spelled with, not, very, really, just, also, then, maybe, actually, i""",
    loose="""on, in, off, up, out, over, down, by, about, with, for, to, this, that, these, those, some, any, do, does, did,
        is, are, was, were, can, will, would, could, should, have, has, had, then, also, really, maybe, like, at""",
    fillers="""um, uh, er, erm, hmm, hm, well, let me see, let me think, let's see, hold on, one moment,
        just a second, wait""",
    questions="""what, what's, who, who's, where, where's, when, why, how, which, whose, is, are, was, were, do,
        does, did, can, could, will, would, should, may, have, has, please""",
    answers="""yes, yeah, yep, yes please, no, nope, no thanks, no thank you, okay, ok, sure, right, correct,
        exactly, of course, that's right, that's fine, that's all, sounds good, go ahead, thank you, thanks,
        please do, absolutely, not really""",
    numbers="""zero, oh, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen,
        fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty, thirty, forty, fifty, sixty, seventy,
        eighty, ninety, hundred, thousand, double, triple""",
    asks_number="number, phone, code, digits, zip, account, card, pin, reference, spell",
    asks_name="name, called, city, town, street, country, address",
    backchannels="""mhm, mm-hmm, mm, mmm, hm, hmm, uh-huh, um-hum, aha, ah, oh, ooh, um, uh, er, okay, ok, okay okay, yeah, yes,
        yep, yup, ya, right, sure, alright, all right, i see, i know, got it, gotcha, good, great, cool, nice, fine, wow,
        really, exactly, absolutely, of course, true, makes sense, sounds good, fair enough, that's right, ha, ha ha,
        haha, hahaha""",
)
