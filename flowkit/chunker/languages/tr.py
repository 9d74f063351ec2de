"""Turkish."""

from .table import Language

LANGUAGE = Language(
    code="tr",
    titles="dr prof doç yrd av sn hz alb yzb örn ör bkz yak vs. st müh op uzm öğr gör",
    numbers="no s sf syf tel m.ö m.s md fık cad sok sk apt mah",
    units="dk sn sa km m kg g cm mm l ml",
    opens="ltd şti a.ş inc co",
    lasts="vb vs",
    starters="""bu şu o ben sen biz siz onlar benim senin bizim sizin kim ne nerede ne nasıl neden niçin hangi kaç
        bir evet hayır ama fakat ve veya eğer çünkü sonra önce şimdi bugün yarın dün burada orada ayrıca da de için
        ile gibi kadar her bazı çok hiç lütfen teşekkürler teşekkür merhaba tabii elbette peki tamam""",
    ordinals="lower",
    code_example="kod örneği",
)
