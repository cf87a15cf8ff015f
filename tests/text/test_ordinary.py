"""Nothing hidden, nothing undone: ordinary messages in many languages are judged once, as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.text import normalise, views
from tests.timing import work_s

LANGUAGES = {
    "Russian": ("Здравствуйте, можно перенести запись на четверг? У меня iPhoneе нет приложения", "нет", "мама сама", "и я в шоке"),
    "Ukrainian": ("Добрий день, чи можна змінити час прийому? Їхати далеко", "і мої ліки теж"),
    "Bulgarian": ("Здравейте, кога мога да взема рецептата си?",),
    "Serbian": ("Може ли моја ћерка да дође у петак? Хвала", "Љубав је лепа"),
    "Macedonian": ("Ѕвездата е убава, а јас сум дома денес",),
    "Kazakh": ("Сәлеметсіз бе, дәрігерге қашан жазыла аламын?",),
    "Chechen": ("Де дика хуьлда, хIун деш ву хьо тахана?",),
    "Greek": ("Καλημέρα, μπορώ να αλλάξω το ραντεβού μου; Ευχαριστώ πολύ", "όχι", "ὁ ᾄδων ἀοιδός"),
    "Armenian": ("Բարեւ ձեզ, կարո՞ղ եմ վաղը գալ բժշկի մոտ",),
    "Georgian": ("გამარჯობა, შემიძლია ვიზიტის გადატანა?",),
    "Hebrew": ("שלום, אפשר להזיז את התור ליום חמישי? תודה", "שָׁלוֹם לְכֻלָּם", "\u200fשלום\u200f abc"),
    "Arabic": ("مرحبا، هل يمكنني تغيير موعدي إلى يوم الخميس؟", "السَّلَامُ عَلَيْكُمْ", "\u200fموعد 3 pm\u200e"),
    "Persian": ("سلام، می‌خواهم نوبتم را عوض کنم، نمی‌توانم بیایم",),
    "Urdu": ("السلام علیکم، کیا میں کل آ سکتا ہوں؟ شکریہ",),
    "Hindi": ("नमस्ते, क्या मैं अपनी अपॉइंटमेंट बदल सकता हूँ? राष्ट्रीय स्वास्थ्य सेवा", "क्\u200dष और क्\u200cष"),
    "Bengali": ("নমস্কার, আমি কি কাল আসতে পারি? স্বাস্থ্য ভালো", "র\u200d্যাব"),
    "Tamil": ("வணக்கம், நான் நாளை வரலாமா?",),
    "Malayalam": ("നമസ്കാരം, നാളെ വരാമോ? അവൻ\u200d പോയി",),
    "Sinhala": ("ආයුබෝවන්, මට හෙට එන්න පුළුවන්ද? ශ්\u200dරී ලංකා",),
    "Thai": ("สวัสดีค่ะ ขอเลื่อนนัดเป็นวันพฤหัสได้ไหม ทำงานทุกวัน", "ขอบคุณ\u200bมาก"),
    "Lao": ("ສະບາຍດີ ຂ້ອຍຂໍປ່ຽນນັດໄດ້ບໍ່ ທຳງານ",),
    "Khmer": ("សួស្តី\u200bខ្ញុំ\u200bចង់\u200bប្តូរ\u200bការ\u200bណាត់",),
    "Burmese": ("မင်္ဂလာပါ၊ ကျွန်တော် မနက်ဖြန် လာလို့ရမလား",),
    "Tibetan": ("བཀྲ་ཤིས་བདེ་ལེགས། ང་སང་ཉིན་ཡོང་ཆོག་གམ།",),
    "Chinese": ("你好，我想把预约改到星期四，可以吗？谢谢！（下午）", "我用iPhone打的", "我 爱 你"),
    "Japanese": ("こんにちは、予約を木曜日に変更できますか？「はい」１２月", "ﾊﾝｶｸ ｶﾅ", "葛\U000e0100城"),
    "Korean": ("안녕하세요, 예약을 목요일로 바꿀 수 있을까요? ㅋㅋㅋ ㅠㅠ", "네 ㅇㅋ"),
    "Turkish": ("Merhaba, randevumu perşembeye alabilir miyim? Işık açık mı, ağır", "KIZIM İYİ"),
    "Vietnamese": ("Chào bác sĩ, tôi muốn đổi lịch hẹn sang thứ năm được không ạ?", "Việt Nam tiếng Việt".replace("ệ", "e\u0323\u0302")),
    "Polish": ("Dzień dobry, czy mogę przełożyć wizytę? Źle się czuję", "a i w sumie tak"),
    "Czech": ("Dobrý den, můžu přijít až ve čtvrtek? Příliš žluťoučký kůň",),
    "German": ("Grüß Gott, kann ich den Termin verschieben? Schöne Grüße, z. B. am Freitag, u.a.m.", "d.h. nichts"),
    "Danish": ("Hej, kan jeg få en anden tid? Mange hilsner fra Ærø, på ø i å",),
    "Icelandic": ("Góðan dag, má ég færa tímann? Þakka þér fyrir",),
    "French": ("Bonjour, puis-je déplacer mon rendez-vous au 1ᵉʳ ? Merci, ça va « bien » à Nîmes", "cœur, n° 3, 2ᵉ étage"),
    "Spanish": ("Hola, ¿puedo cambiar la cita al jueves? ¡Gracias! El 1º y la 2ª", "tú y yo o él"),
    "Portuguese": ("Olá, posso mudar a consulta? Não consigo ir, coração",),
    "Romanian": ("Bună ziua, pot să mut programarea? Mulțumesc, știu",),
    "Yoruba": ("Ẹ kú àárọ̀, ṣé mo lè wá lọ́la? Ọmọ mi ń sùn, ẹ̀kọ́",),
    "Akan": ("Mepa wo kyɛw, mɛtumi aba ɔkyena? ɔdɔ wɔ hɔ",),
    "Ewe": ("Ŋdi na mi, ɖe mate ŋu ava etsɔ? Ƒo nya nam, ƒe ɖeka, ʋuʋu",),
    "Kabiye": ("Ɛyʊ tɩ wɛ ɖoŋ, pɩkɩlɩ ɖɔ",),
    "Hausa": ("Sannu, zan iya zuwa gobe? Ɗana ba shi da lafiya, ƙafa",),
    "Swahili": ("Habari, naweza kubadilisha miadi yangu? Asante sana",),
    "Amharic": ("ሰላም፣ ነገ መምጣት እችላለሁ? አመሰግናለሁ",),
    "Hawaiian": ("Aloha, hiki iaʻu ke hele mai i ka lāpule?",),
    "Cherokee": ("ᎣᏏᏲ, ᏙᎯᏧ? ᎠᏂᏴᏫᏯ ᏩᏙ",),
    "Cree": ("ᑕᓂᓯ, ᓇᒧᔭ ᓂᑭᐢᑫᔨᐦᑌᐣ",),
    "Mongolian": ("Сайн байна уу, маргааш ирж болох уу?", "ᠮᠣᠩᠭᠣᠯ\u180eᠤᠨ"),
}  # fmt: skip

ENGLISH = (
    "can i move my appt to thursday? my son's at school til 3 :)",
    "Dr. Lee said 50 μg b.i.d., then p.r.n. - is that right?",
    "My D.O.B. is 3/4/80 and I live in the U.S.A., e.g. not in the U.K.",
    "vitamin B12, A B C and D; options a b c d, size S M L, p.s. thanks",
    "It’s 20℃ outside – “lovely” … 1½ hours, 10², 3ʳᵈ floor, Acme™ №5",
    "was i a b student? i dunno. n i r late, y r u here, o i c",
    "x o x o, i i i mean w-w-what, no no",
    "TNFα and γGT are fine, pH 7, β-blocker, Δt, 5 µm, Ω",
    "my brother wrote нет and άλλο in his text, no idea why",
    "naïve café owner Zoë Müller, façade, jalapeño, Åse, Łódź, Đorđe",
    "call +44 20 7946 0000 or \u202a+1 (555) 010-0000\u202c, ask for \u2068Sam\u2069",
    "🇫🇷🇩🇪 trip! 👩‍👩‍👧 blood type 🅰️ ℹ️ Ⓜ️ 1️⃣ ❤️ ✈︎ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👍🏽 ☺",
    "¯\\_(ツ)_/¯ (╯°□°)╯ ಠ_ಠ (´・ω・`) :') <3 (・∀・)",
    "IPA: /ˈkæt/ [ɹʌn], \u00b4accent\u00b4, don´t, a ~ b",
    "https://example.org/a/b/c?d=e&f=g www.a.b.com I.e. this, v1.2.3 a/b/c",
    "\ufeffpasted from a file",
    "line one\r\nline two\u2028line three\x0bnext\tend\u00a0here",
    "AT&T, R&B, Q&A, A&E, 24/7, and/or, w/o, c/o, y/n",
    "k. l. m. are her initials; J.R.R. and C.S. wrote books",
    "IV  VI  Ⅳ Ⅻ XII, rooms ⅰ and ⅱ",
    "1 2 3 4 5, 1.2.3.4, 07-07-2020, * * *, ---, . . .",
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_judged_as_it_is(language):
    """No second view, nothing folded into another alphabet."""
    for text in LANGUAGES[language]:
        assert [v.name for v in views(text)] == ["raw"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_within_english_and_english_within_it(language):
    """A name, a word or a sentence of another language beside it changes nothing."""
    for text in LANGUAGES[language]:
        for whole in (f"Hello doctor, my mother says: {text}", f"{text} - sent from my phone, ok Google"):
            assert [v.name for v in views(whole)] == ["raw"]


@pytest.mark.parametrize("word", ["ναι", "је", "ура"])
def test_a_lone_foreign_word_of_look_alikes_cannot_be_told_from_a_disguise(word):
    """In its own language it stays; alone in an English text it is judged both ways, which costs one judgement."""
    assert [v.name for v in views(f"{word}!")] == ["raw"]
    assert [v.name for v in views(f"my mother says {word} to you")] == ["raw", "normalised"]


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_judged_once(text):
    """Abbreviations, units, emoji, links and other people's names are no disguise."""
    assert [v.name for v in views(text)] == ["raw"]


def test_languages_are_many():
    """At least twenty besides English."""
    assert len(LANGUAGES) >= 20


def test_the_starter_data_is_judged_once():
    """None of the messages written for the data sets shows a disguise by accident."""
    files = sorted((Path(__file__).parents[2] / "data" / "starter-v1").glob("*.jsonl"))
    texts = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(texts) > 1000
    assert sum(len(views(text)) > 1 for text in texts) == 0


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_ascii_never_becomes_other_letters(text):
    """In plain ASCII nothing is replaced: at most signs between single letters and controls go."""
    kept = iter(text)
    assert all(letter in kept for letter in normalise(text).text if letter != " ")


HARD = {
    "letters": "a" * 60_000,
    "look-alike at the end": "a" * 59_999 + "а",
    "words of one letter": "a " * 30_000,
    "letters apart": "k i l l  " * 6_666,
    "dotted letters": "a.b" * 20_000,
    "turned letters": "ɐǝ" * 30_000,
    "turnable letters": "o o" * 20_000 + "ɐǝ",
    "marks in disorder": "a" + "\u0301\u0323" * 30_000,
    "Arabic marks in disorder": "ب" + "\u064b\u0655" * 30_000,
    "joiners": "\u200d" * 60_000,
    "direction marks": "a\u2066\u2069" * 20_000,
    "overrides": "\u202eab" * 20_000,
    "open overrides": "a" * 100 + "\u202e" * 59_900,
    "nested directions": "\u2067\u202e" * 15_000 + "ab\u2069\u202c" * 10_000,
    "isolates closed": "\u202e\u2066a\u2069" * 15_000,
    "flags of regions": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f" * 8_000,
    "tags behind a flag": "🏴" + "\U000e0061" * 60_000,
    "flags": "🇬🇧" * 30_000,
    "half flags": "🇬\u200b" * 30_000,
    "boxes": "🅰" * 60_000,
    "emoji": "👩\u200d" * 30_000,
    "tags": "\U000e0061" * 60_000,
    "Russian": "автобус опоздал и очередь была длинной. " * 1_500,
    "mixed words": "dіе wіth mе " * 5_000,
    "spaces": " " * 60_000 + "a",
    "virama": "क्" * 30_000,
    "surrogates": "\ud800" * 60_000,
}


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_sixty_thousand_characters_take_less_than_a_second(text):
    """Linear for what people send and for what is made to be slow: a second of work, whatever else the machine does."""
    assert work_s(lambda: views(text)) < 1
