"""Arabic."""

from .table import Language

LANGUAGE = Language(
    code="ar",
    titles="د أ أ.د ا.د السيد ص.ب ت ج س ش ط ع ف ق ك ل ن ه و ي dr mr mrs prof",
    numbers="رقم ص ج تحويلة",
    opens="إلخ الخ هـ ق.م ب.م etc",
    starters="""هل هذا هذه ما ماذا متى أين كيف لماذا من نعم لا شكرا شكرًا لكن ثم أنا نحن أنت هو هي هم يمكنك يمكنني
        إذا في على""",
    leading="الأحد الاثنين الإثنين الثلاثاء الأربعاء الخميس الجمعة السبت",
    code_example="مثال برمجي",
)
