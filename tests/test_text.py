"""Text of many languages and scripts: its one form, its words and their case, its codes, and what its readers do."""

from __future__ import annotations

import io
import sys
import unicodedata
from pathlib import Path

import pytest

from csr.cli import main
from csr.errors import DataError
from csr.evaluation.frequency import word_scores
from csr.evaluation.summarization import words as rouge_words
from csr.induction.bitext import read_bitext
from csr.lexicon import Lexicon, read_lexicon
from csr.switching.lines import switch_line
from csr.switching.noise import PoissonSpans
from csr.switching.streams import Stream
from csr.text.forms import composed, folded, title, upper
from csr.text.languages import base, entry, same
from csr.text.sentences import sentences
from csr.text.truecase import running_forms
from csr.text.words import tokenize, words


@pytest.mark.parametrize(
    ("language", "line", "expected"),
    [
        ("fr", "L’idée-clé, c'est 10 h.", ["L’idée", "clé", "c'est", "10", "h"]),
        ("ca", "una col·lecció d'estels", ["una", "col·lecció", "d'estels"]),
        ("uz", "Oʻzbekiston, o‘zbek", ["Oʻzbekiston", "o‘zbek"]),
        ("uk", "п’ять об'єктів", ["п’ять", "об'єктів"]),
        ("hy", "ինչո՞ւ, արև։", ["ինչո՞ւ", "արև"]),
        ("he", 'ארה״ב וארה"ב צ׳ק', ["ארה״ב", 'וארה"ב', "צ׳ק"]),
        ("fa", "نمی\u200cدانم، کتاب\u200cها", ["نمی\u200cدانم", "کتاب\u200cها"]),
        ("ur", "سڑک۔ یہ", ["سڑک", "یہ"]),
        ("hi", "सड़क पर।", [composed("सड़क"), "पर"]),
        ("bn", "এই উদ্\u200cযোগ", ["এই", "উদ্\u200cযোগ"]),
        ("si", "ප්\u200dරශ්නය ද?", ["ප්\u200dරශ්නය", "ද"]),
        ("ml", "അവന്\u200d നീലം.", ["അവന്\u200d", "നീലം"]),
        ("am", "ሰላም፡ዓለም።", ["ሰላም", "ዓለም"]),
        ("ka", "ახალი სახლი.", ["ახალი", "სახლი"]),
        ("ko", "학교에 간다.", ["학교에", "간다"]),
        ("bo", "སློབ་གྲྭ་", ["སློབ", "གྲྭ"]),
        ("haw", "ka ʻōlelo", ["ka", "ʻōlelo"]),
        ("de", "haus\u00a0baum\u202fhaus\u2028baum\u3000haus", ["haus", "baum", "haus", "baum", "haus"]),
        ("de", "Donau\u00addampf", ["Donaudampf"]),
        ("en", "see www.a.org/b?c or a.b@c.de, x", ["see", "or", "x"]),
    ],
)
def test_words_are_those_of_the_language(language, line, expected):
    assert words(line, language) == expected
    assert words(unicodedata.normalize("NFD", line), language) == expected


def test_one_form_of_words():
    decomposed = ["việc", "ọ̀rọ̀", "한국어", "öğüt", "कौन", "οδός", "й"]
    for word in decomposed:
        assert composed(unicodedata.normalize("NFD", word)) == unicodedata.normalize("NFC", word)
    # Two marks in either order; Thai and Lao am in two signs, the tone mark before, between or not at all.
    assert composed("o\u0300\u0323") == composed("o\u0323\u0300")
    assert {composed(am) for am in ("น้\u0e4d\u0e32", "น\u0e4d้\u0e32")} == {"น้ำ"}
    assert composed("\u0e94\u0ecd\u0eb2") == "ດຳ"
    # What shows nothing and means nothing goes; joiners that shape letters stay.
    assert composed("\ufeffha\u2060us\u00ad") == "haus"
    assert composed("ප්\u200dර") == "ප්\u200dර"


@pytest.mark.parametrize(
    ("language", "word", "as_title", "capitals"),
    [
        ("tr", "ışık", "Işık", "IŞIK"),
        ("azj_Latn", "isim", "İsim", "İSİM"),
        ("en", "isle", "Isle", "ISLE"),
        ("nl", "ijs", "IJs", "IJS"),
        ("el", "άνθρωπος", "Άνθρωπος", "ΑΝΘΡΩΠΟΣ"),
        ("el", "μαΐου", "Μαΐου", "ΜΑΪΟΥ"),
        ("hy", "արև", "Արև", "ԱՐԵՎ"),
        ("ka", "სახლი", "სახლი", "სახლი"),
        ("hr", "ǆep", "ǅep", "Ǆ" + "EP"),
        ("de", "straße", "Straße", "STRASSE"),
        ("th", "น้ำ", "น้ำ", "น้ำ"),
        ("uk", "п'ять", "П'ять", "П'ЯТЬ"),
    ],
)
def test_case_is_the_languages(language, word, as_title, capitals):
    assert title(word, language) == as_title
    assert upper(word, language) == capitals
    assert folded(as_title, language) == word


@pytest.mark.parametrize(
    ("languages", "entry_", "text"),
    [
        (("tr", "en"), "ışık", "Işık IŞIK ışık"),
        (("el", "en"), "δρόμος", "ΔΡΟΜΟΣ Δρόμος"),
        (("ka", "en"), "სახლი", "ᲡᲐᲮᲚᲘ სახლი"),
        (("hy", "en"), "արև", "ԱՐԵՎ ԱՐԵՒ Արև"),
        (("de", "en"), "straße", "STRASSE STRAẞE Straße"),
        (("fr", "en"), "l'eau", "L’eau l’eau L'EAU"),
        (("he", "en"), "צ'ק", "צ׳ק צ'ק"),
        (("uk", "en"), "п’ять", "п'ять П’ЯТЬ пʼять"),
        (("yo", "en"), "ọ̀rọ̀", "o\u0300\u0323ro\u0323\u0300 Ọ̀rọ̀"),
        (("th", "en"), "น้\u0e4d\u0e32", "น้ำ"),
        (("fa", "en"), "کتاب\u200cها", "کتاب\u200cها"),
        (("ko", "en"), unicodedata.normalize("NFD", "학교"), "학교"),
    ],
)
def test_entries_are_found_however_text_writes_them(tmp_path, languages, entry_, text):
    (tmp_path / "l.tsv").write_text(f"\ufeff{entry_}\tx\n", encoding="utf-8")
    lexicon = read_lexicon(tmp_path / "l.tsv").cased(languages)
    switched = switch_line(text, lexicon, PoissonSpans(1.0), Stream(1, 1, 1), language=None)
    assert len(switched.positions) == switched.n_words == len(text.split())
    # What judges a lexicon finds the same words.
    lowered = read_lexicon(tmp_path / "l.tsv").lowered(languages)
    if languages[0] not in ("el", "ka", "hy", "de"):  # in capitals alone, these are written with other letters
        assert all(word in lowered for word in tokenize(text, languages[0]))


def test_apostrophes_are_one_wherever_words_are_compared():
    assert tokenize("L’eau L'eau Lʼeau") == ["l'eau"] * 3
    # Learned as one word, written as text has it most often.
    assert running_forms(["Dans l’eau, dans l’eau et l'eau."])["l'eau"] == "l’eau"
    merged = Lexicon.merged([(Lexicon({"l'eau": {"water": 1.0}}), 1.0), (Lexicon({"L’eau": {"sea": 1.0}}), 1.0)])
    assert merged.entries == {"l'eau": {"water": 1.0, "sea": 1.0}}
    inverted = Lexicon({"Irak": {"iraq": 1.0}, "L’eau": {"water": 1.0}}).inverted({"ırak": 2, "l'eau": 1}, "tr")
    assert set(inverted.entries) == {"iraq", "water"}
    kept = Lexicon({"L’eau": {"the": 1.0}, "mer": {"sea": 1.0}}).filtered(stop_words={"l'eau"})
    assert set(kept.entries) == {"mer"}


@pytest.mark.parametrize(
    ("codes", "language"),
    [
        (("de", "deu", "ger", "de_DE", "deu_Latn", "de-AT"), "de"),
        (("zh", "zho", "zh_CN", "zh-Hant", "zho_Hans", "cmn"), "zh"),
        (("he", "iw", "heb", "heb_Hebr", "he_IL"), "he"),
        (("id", "in", "ind_Latn", "in_ID"), "id"),
        (("no", "nb", "nob_Latn", "nb-NO"), "no"),
        (("fa", "pes_Arab", "prs", "fa_IR"), "fa"),
        (("sw", "swh", "swa", "sw_KE"), "sw"),
        (("lv", "lvs_Latn", "lav"), "lv"),
        (("et", "ekk", "est_Latn"), "et"),
        (("ar", "arb", "arb_Arab", "ar_AR"), "ar"),
        (("my", "mya_Mymr", "my_MM", "bur"), "my"),
        (("xh", "xho", "xho_Latn", "xh_ZA"), "xh"),
    ],
)
def test_codes_of_every_table_name_their_language(codes, language):
    assert {base(code) for code in codes} == {language}
    assert not same(language, "nn")


def test_a_part_of_a_language_has_what_the_whole_has():
    assert entry({"zh": 1}, "yue_Hant") == 1
    assert entry({"th": 1}, "tha_Thai") == 1
    assert entry({"ja": 1}, "ja-JP") == 1


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("یہ سڑک ہے۔ وہ گھر ہے۔", 2),
        ("ሰላም ነው። ደህና ነው።", 2),
        ("Ո՞վ է։ Նա է։", 2),
        ("كيف؟ جيد.", 2),
        ("वह आया। वह गया॥", 2),
        ("ကောင်းတယ်။ သွားမယ်။", 2),
        ("ល្អ។ ទៅ។", 2),
        ("他来了。她走了！好？", 3),
        ("Mr. Tan pays 3.5 dollars. Why?", 3),
    ],
)
def test_sentences_end_at_the_marks_of_their_script(text, n):
    assert len(sentences(text)) == n


def test_scores_see_one_form():
    hyp, ref = unicodedata.normalize("NFD", "chào Việt Nam"), "chào Việt Nam"
    assert word_scores([hyp], [ref], {"Việt": 1}, "13a", cutoffs=(1,))[0].matches == 2
    assert word_scores([hyp], [ref], {"Việt": 1}, "13a", cutoffs=(1,))[1].matches == 1
    assert rouge_words(hyp) == rouge_words(ref)
    assert rouge_words("کتاب\u200cها") == ["کتاب\u200cها"]
    assert rouge_words("İyi") == ["iyi"]


def test_tokens_are_parted_at_spaces_and_tabs_alone(tmp_path: Path):
    (tmp_path / "a").write_text("10\u00a0000 \u3000 a\tb  c\n", encoding="utf-8")
    (tmp_path / "b").write_text("x\u2028y z\n", encoding="utf-8")
    bitext = read_bitext(tmp_path / "a", tmp_path / "b", tokenized=True)
    assert set(bitext.source.words) == {"10\u00a0000", "\u3000", "a", "b", "c"}
    assert set(bitext.target.words) == {"x\u2028y", "z"}


def test_text_without_spaces_and_a_language_is_warned_of(tmp_path: Path, caplog):
    for name, line in (("zh", "我们今天去学校。"), ("en", "we go to school today"), ("th", "ฉันไปโรงเรียน")):
        (tmp_path / name).write_text(f"{line}\n" * 3, encoding="utf-8")
    read_bitext(tmp_path / "en", tmp_path / "en")
    assert not caplog.records
    read_bitext(tmp_path / "en", tmp_path / "zh")
    (record,) = caplog.records
    assert f"{tmp_path / 'zh'}: 100 % of the letters are of scripts written without spaces" in record.message
    assert "name the language" in record.message
    (tmp_path / "l.tsv").write_text("学校\tschool\n", encoding="utf-8")
    assert main(["switch", "--lexicon", str(tmp_path / "l.tsv"), "--input", str(tmp_path / "th")]) == 0
    assert "th: 100 % of the letters" in caplog.text
    (tmp_path / "labelled").write_text("我们去学校\tpos\n", encoding="utf-8")
    command = ["switch-labels", "text", "--lexicon", str(tmp_path / "l.tsv"), "--stop-words", "none"]
    assert main([*command, "--input", str(tmp_path / "labelled")]) == 0
    assert "labelled: 100 % of the letters" in caplog.text


def test_output_is_utf_8_whatever_the_locale(tmp_path: Path, monkeypatch):
    (tmp_path / "l.tsv").write_text("haus\thäuschen\n", encoding="utf-8")
    (tmp_path / "t").write_text("das haus\n", encoding="utf-8")
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["switch", "--lexicon", str(tmp_path / "l.tsv"), "--rate", "1", "--input", str(tmp_path / "t")]) == 0
    out.flush()
    assert out.buffer.getvalue().decode("utf-8") == "das häuschen\n"  # type: ignore[attr-defined]


def test_lexicons_of_either_sign_are_one(tmp_path: Path):
    (tmp_path / "l.tsv").write_text("l'eau\twater\n", encoding="utf-8")
    (tmp_path / "t").write_text("l’eau\n", encoding="utf-8")
    assert main(["lexicon", "stats", str(tmp_path / "l.tsv"), "--src", str(tmp_path / "t")]) == 0
    with pytest.raises(DataError):
        read_lexicon(tmp_path / "t")
