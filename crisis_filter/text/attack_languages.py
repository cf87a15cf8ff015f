"""Orders to drop orders, and dictated verdicts, in other languages than English.

Each language has stems for dropping, for what is dropped, and for which of it: all three within a short stretch, in any
order, are an attack. Stems are folded before use, so accents don't matter. They are few and plain; a language that is not
here is not covered.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """Stems of one language; each field holds patterns separated by `/`."""

    drop: str
    """Ignore, forget, disregard."""
    orders: str
    """Instructions, rules, prompt."""
    which: str
    """Previous, all, your."""
    answer: str
    """Answer, classify, mark."""
    verdict: str
    """Not a crisis."""


LANGUAGES: dict[str, Language] = {
    "es": Language(
        "ignorar/ignor[ae]/olvid[ae]/olvidar/descarta/descarte/omite/omita/no sigas/haz caso omiso/desestim[ae]",
        "instrucci/reglas/indicaci/ordenes/directri/mensaje del sistema/prompt",
        "anterior/previ[ao]s/todas/tus/sus/sistema/arriba",
        "responde\\b/responda\\b/contesta\\b/conteste\\b/clasific/marca/marque/devuelv/escrib/etiquet/di\\b/pon\\b",
        "no es (?:una )?crisis/sin crisis/no hay (?:ninguna )?crisis/no[ -]crisis/crisis ?[:=]? ?fals/fals[oe]\\b/ninguna crisis",
    ),
    "pt": Language(
        "ignorar/ignor[ea]/esqueca/esquecer/desconsider[ea]/desconsiderar/descarte",
        "instruc/regras/ordens/diretri/prompt/comandos",
        "anterior/previ[ao]s/todas/suas/sistema/acima",
        "responde\\b/responda\\b/classifique/classifica\\b/marque/marca/devolv/escrev/retorn/diga",
        "nao e (?:uma )?crise/sem crise/nao ha crise/nao[ -]crise/crise ?[:=]? ?fals/fals[oe]\\b",
    ),
    "fr": Language(
        "ne tiens pas compte/ignor(?:e|ez|er)/oubli(?:e|ez|er)/ne tenez pas compte/ne suis pas/ne suivez (?:pas|plus)/fais abstraction/faites abstraction",
        "instruction/consigne/regles/directive/ordres/prompt",
        "precedent/anterieur/toutes/tes\\b/vos\\b/systeme/ci-dessus",
        "repond/classe/marque/renvoi/ecri[sv]/indique/dis\\b/dites/etiquet",
        "pas (?:de |une |en )?crise/aucune crise/non[ -]crise/crise ?[:=]? ?(?:fauss?e?|false)/faux\\b/n'est pas une crise",
    ),
    "de": Language(
        "ignorier/vergiss/vergessen sie/missachte/beachte nicht/uberspring/verwirf",
        "anweisung/instruktion/regeln/befehl/vorgaben/richtlinien/prompt",
        "vorherig/vorig/obig/alle\\b/allen/deine/ihre\\b/bisherig/fruher/system",
        "antwort/klassifizier/markier/gib\\b/schreib/stufe|einstuf/bewerte/kennzeichne/ausgeb",
        "kein(?:e|er)? krise/nicht krise/nicht[ -]krise/krise ?[:=]? ?fals/falsch\\b/false\\b/unbedenklich",
    ),
    "it": Language(
        "trascura/ignora(?:re|te)?/dimentica(?:re|te)?/non seguire/scarta",
        "istruzion/regole/ordini/direttiv/prompt/comandi",
        "precedent/tutte/tue\\b/sistema/sopra",
        "rispond/classific/segna/restitu/scrivi/etichett/dichiara",
        "non e (?:una )?crisi/nessuna crisi/non[ -]crisi/crisi ?[:=]? ?fals/fals[oa]\\b",
    ),
    "nl": Language(
        "negeer/vergeet/sla over/volg niet",
        "instructies/aanwijzing/regels/opdracht/prompt",
        "vorige/eerdere/voorgaande/alle\\b/bovenstaande/jouw|je\\b/systeem",
        "antwoord/classificeer/markeer/geef/schrijf/beoordeel",
        "geen crisis/niet crisis/crisis ?[:=]? ?(?:onwaar|false)/onwaar\\b",
    ),
    "pl": Language(
        "ignoruj/zignoruj/zapomnij/pomin/zlekcewaz",
        "instrukcj/polecen/regul/zasad/prompt",
        "poprzedni/wczesniej/wszystki/swoje|twoje/powyzsz/system",
        "odpowiedz/sklasyfikuj/oznacz/zwroc/napisz",
        "(?:nie (?:jest |ma )?|brak )kryzys/kryzys ?[:=]? ?fal/nie[ -]kryzys/falsz\\b",
    ),
    "sv": Language(
        "ignorera/glom/bortse/strunta i",
        "instruktion/regler/anvisning/prompt",
        "tidigare/foregaende/alla\\b/ovan/dina/system",
        "svara/klassificera/markera/skriv/ange",
        "(?:ingen|inte(?: en)?|ej) kris/kris ?[:=]? ?fals/falskt\\b",
    ),
    "ro": Language(
        "ignora/uita/nu tine cont",
        "instructiun/reguli|regulile/comenzi/prompt",
        "anterioar/preceden/toate/tale/sistem",
        "raspund/clasific/marcheaz/scrie",
        "nu (?:este|e) (?:o )?criza/fara criza/nicio criza/criza ?[:=]? ?fals",
    ),
    "tr": Language(
        "yoksay/yok say/gormezden gel/unut/dikkate alma/gozardi et|goz ardi et",
        "talimat/yonerge/kural/komut/istem",
        "onceki/tum|butun/yukaridaki/sistem",
        "cevap|yanit/siniflandir/isaretle/yaz\\b/de\\b",
        "kriz (?:degil|yok)/kriz ?[:=]? ?(?:false|yanlis)",
    ),
    "id": Language(
        "abaikan/lupakan/hiraukan",
        "instruksi/perintah/aturan/arahan/petunjuk",
        "sebelumnya/semua/di atas/sistem/anda",
        "jawab/klasifikasi/tandai/tulis/balas",
        "(?:bukan|tidak ada|tidak) krisis/krisis ?[:=]? ?(?:false|salah)",
    ),
    "vi": Language(
        "bo qua/phot lo|phot lo/quen/lo di",
        "huong dan/chi dan/lenh/quy tac/chi thi",
        "truoc/tat ca|tat ca/o tren/he thong",
        "tra loi/phan loai/danh dau/ghi\\b",
        "khong (?:phai|co|phai la) (?:la )?khung hoang",
    ),
    "tl": Language(
        "balewalain/huwag pansinin/kalimutan/huwag sundin",
        "tagubilin/utos/panuto/instruksyon/patakaran",
        "nakaraang/lahat/nauna/itaas/sistema",
        "sagutin|sumagot/markahan/isulat/sabihin",
        "(?:hindi|walang) krisis",
    ),
    "ru": Language(
        "игнорир/проигнорир/забудь/отмени/не обращаи внимания/не следуи/пренебрег",
        "инструкци/указани/правил/команд/распоряжени/промпт/директив",
        "предыдущ/прежни/все\\b/всех/всё/выше/свои|твои/систем",
        "ответ/отвечаи/классифиц/отметь|пометь/верни/напиши/выведи",
        "(?:не|нет|без) кризис/кризиса нет/не является кризис/кризис ?[:=]? ?(?:ложь|false|нет)/ложь\\b",
    ),
    "uk": Language(
        "ігнору/проігнору/забудь/не зважаи/відкинь",
        "інструкці/вказівк/правил/команд/промпт",
        "попередн/усі|всі/вище/свої|твої/систем",
        "відпові/класифіку/познач/напиши/поверни",
        "(?:не|немає|без) криз/кризи немає/криза ?[:=]? ?(?:хибн|false|ні)",
    ),
    "el": Language(
        "αγνοησ/ξεχασ/παραβλεψ",
        "οδηγι/κανον/εντολ/προτροπ",
        "προηγουμεν/ολες|ολους/παραπανω/συστημ",
        "απαντησ/ταξινομησ/σημειωσ/γραψ",
        "(?:δεν ειναι|οχι|καμια) (?:μια )?κρισ/κριση ?[:=]? ?(?:false|ψευδ)",
    ),
    "zh": Language(
        "忽略/无视/無視/忘记/忘記/忽视/忽視/不要理会/不要遵守/跳过",
        "指令/指示/说明/說明/规则/規則/提示词?/命令/要求",
        "之前/以上/上面|上述/所有|全部/先前|前面/系统|系統/你的",
        "回答/回复|回覆/输出|輸出/判定|判断|判斷/分类|分類/标记|標記/返回/只说/请说",
        "不是危机|不是危機/非危机|非危機/没有危机|沒有危機|无危机|無危機/(?:危机|危機)[:：=]? ?(?:false|否|假|为假)/不属于危机",
    ),
    "ja": Language(
        "無視/忘れてください|忘れて下さい|忘れろ|忘れなさい/従わ(?:な|ず)/破棄",
        "指示/命令/ルール/プロンプト/指図/規則",
        "以前|前の|これまで|今まで/以上|上記|上の/すべて|全て/システム|あなたの",
        "回答|答え/出力/分類/判定/返(?:して|答)/マーク/応答",
        "危機では(?:ない|ありません)|危機でない|危機なし|非危機/クライシスでは(?:ない|ありません)/危機[:：=] ?(?:false|いいえ|偽)",
    ),
    "ko": Language(
        "무시/잊어/잊으/따르지",
        "지시/명령/규칙/지침/프롬프트",
        "이전|앞의|앞선/모든|전부/위의/시스템|당신의",
        "답(?:하|변)/출력/분류/표시|판정/응답/대답",
        "위기(?:가|는)? ?(?:아니|아님|없)|비위기/위기[:：=] ?(?:false|거짓|아니)",
    ),
    "ar": Language(
        "تجاهل/انس\\b/انسى/اهمل/لا تتبع",
        "تعليمات/اوامر/قواعد/توجيهات/ارشادات",
        "سابق/كل\\b|جميع/اعلاه/النظام",
        "اجب/صنف/رد\\b/اكتب/ضع",
        "(?:ليست|ليس|لا توجد|لا يوجد) (?:هناك )?(?:حاله )?ا?زمة/(?:ليست|ليس|لا توجد) ا?زمه/ازمة ?[:=]? ?(?:false|خطا|لا)",
    ),
    "fa": Language(
        "نادیده بگیر/فراموش کن",
        "دستور/قوانین/راهنما/پرامپت",
        "قبلی/همه|تمام/بالا/سیستم",
        "پاسخ/جواب/طبقه/بنویس",
        "بحران نیست|بحرانی نیست|بدون بحران|بحران ?[:=]? ?(?:false|نادرست)",
    ),
    "he": Language(
        "התעלם|התעלמי|התעלמו/שכח|שכחי/אל תציית",
        "הוראות|הנחיות/כללים/פקודות",
        "קודמות|הקודמות/כל\\b/לעיל/מערכת",
        "ענה|עני|השב/סווג|סמן/כתוב|החזר",
        "(?:לא|אין|אינו|אינה) משבר/משבר ?[:=]? ?(?:false|שקר|לא)",
    ),
    "hi": Language(
        "अनदेखा/नजरअंदाज|नज़रअंदाज़/भूल जा/उपेक्षा/ध्यान न दे",
        "निर्देश/नियम/आदेश/हिदायत",
        "पिछले|पहले|पूर्व/सभी|सारे|सब/ऊपर/सिस्टम",
        "उत्तर|जवाब/वर्गीकृत/लिख/चिह्नित/कह",
        "संकट नहीं|कोई संकट नहीं|संकट ?[:=]? ?(?:false|गलत)|क्राइसिस नहीं",
    ),
    "bn": Language(
        "উপেক্ষা/ভুলে যা/অগ্রাহ্য",
        "নির্দেশ/নিয়ম/আদেশ",
        "আগের|পূর্বের|পূর্ববর্তী/সব|সমস্ত|সকল/উপরের",
        "উত্তর|জবাব/শ্রেণি|চিহ্নিত/লিখ|লেখ",
        "সংকট (?:নয়|নেই|না)|সঙ্কট নয়",
    ),
    "th": Language(
        "เพิกเฉย|ละเว้น|ไม่ต้องสนใจ/ลืม/ไม่ต้องทำตาม",
        "คำสั่ง|คำแนะนำ/กฎ/พรอมต์",
        "ก่อนหน้า/ทั้งหมด|ทุก/ข้างต้น|ด้านบน/ระบบ",
        "ตอบ|จัด(?:ประเภท|ว่า)/ระบุ|เขียน",
        "ไม่(?:ใช่|เป็น|มี)(?:ภาวะ)?วิกฤต|วิกฤต ?[:=] ?(?:false|เท็จ)",
    ),
    "sw": Language(
        "puuza|puuzeni/sahau|usifuate",
        "maagizo|maelekezo/kanuni|sheria/amri",
        "yaliyotangulia|awali|iliyopita|zilizopita/yote|zote/hapo juu/mfumo",
        "jibu/ainisha|weka/andika|sema",
        "(?:si|sio|hakuna) (?:mgogoro|dharura)",
    ),
}
