"""Spanish."""

from .table import Language

LANGUAGE = Language(
    code="es",
    titles="""sr sra srta sres sras dr dra D d dña da don ing lic arq prof profa gral cnel cap tte sto sta san fr
        mons hno p.ej p. ej aprox cf vs ee EE av avda c/ pza pl dpto depto col tfno máx mín incl excl hnos excmo
        ilmo admón""",
    numbers="""pág págs pag núm num nro nº n.º art arts fig vol cap tel ene feb mar abr may jun jul ago sept sep oct
        nov dic ed ref apdo ext""",
    words="no lun mar mié jue vie sáb dom",
    units="min seg h hs hrs km m kg g cm mm l ml s",
    opens="ud uds vd vds uu UU a.c d.c s.a s.l cía inc ltda jr ee.uu",
    lasts="etc a.m p.m",
    starters="""el la los las lo un una unos unas yo tú él ella usted nosotros ustedes ellos ellas vosotros mi mis
        tu tus su sus nuestro nuestra nuestros nuestras este esta estos estas ese esa esos esas eso esto aquel
        aquella quién qué cuál cuáles cuándo dónde cómo cuánto cuánta cuántos por para con sin de desde hasta en
        entre sobre según tras ante bajo durante mediante a al del y e o u pero sino aunque porque que si como
        cuando donde mientras pues así entonces luego después antes ahora hoy mañana ayer pronto tarde aquí allí ahí
        también tampoco además sin embargo no sí claro gracias hola perdón disculpe lamento siento es son era fue
        fueron está están estaba hay había ha han he hemos tiene tienen tengo puede pueden puedo podemos podría
        quiere quieres quiero debe debes debo hace va voy vamos me te se le les nos todo todos toda todas cada
        algunos algunas alguno muchos muchas varios varias otro otra otros otras nada nadie algo alguien más menos
        muy mucho poco solo sólo quizás quizá tal probablemente normalmente generalmente siempre nunca jamás primero
        finalmente finalmente último por consulte llame visite pase espere pulse haga elija recuerde tome busque
        escriba vuelva avise déjeme dime dígame creció luego""",
    leading="lunes martes miércoles jueves viernes sábado domingo",
    code_example="ejemplo de código",
)
