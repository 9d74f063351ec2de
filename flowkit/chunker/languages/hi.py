"""Hindi. The danda ends sentences, so a full stop is nearly always an abbreviation."""

from .table import Language

LANGUAGE = Language(
    code="hi",
    titles="""डॉ डा श्री श्रीमती सुश्री प्रो पं कु मो स्व ले कर्नल इंजी एड ए बी सी डी ई एफ जी एच आई जे के एल एम एन ओ
        पी क्यू आर एस टी यू वी डब्ल्यू एक्स वाई ज़ेड जेड dr mr mrs ms prof""",
    numbers="नं सं पृ क्र रु no fig",
    opens="लि कं ltd inc",
    lasts="आदि इत्यादि etc",
    starters="""यह वह हम आप मैं वे ये क्या कब कहाँ कैसे कौन क्यों और लेकिन अगर यदि तो फिर इसके उसके कृपया धन्यवाद
        हाँ नहीं जी""",
    leading="सोमवार मंगलवार बुधवार गुरुवार शुक्रवार शनिवार रविवार",
    code_example="कोड का उदाहरण",
)
