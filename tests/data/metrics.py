"""Writes metrics.json beside this file: what sacreBLEU says of small made-up corpora.

Run: python3 tests/data/metrics.py   (needs sacrebleu; the values stored are of the version named in it)
"""
import json
import pathlib
import random

import sacrebleu

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Nu s-a putut deschide fișierul „raport.txt”: permisiune refuzată!",
    "In 2024, 1,234.5 litres were sold (up 3.7% from 1,190-1,200 in 2023).",
    "Șase saci în șase mașini — atât ținem minte.",
    "He said: \"It's a state-of-the-art design,\" didn't he?",
    "Prețul e 12,50 lei/kg; reducerea... poate mâine.",
    "E-mail us at info@example.org or visit https://example.org/a_b?c=d&e=f#g",
    "R&amp;D costs &lt;5% &quot;overall&quot; & falling",
    "価格は３０００円です。 とても 安い！",
    "naïve café coöperation ½ of ∑ x² ≥ 0 🙂🙂",
    "a b c a b c a b c a b",
    "Save As...",
    "<skipped> Open -5 or 5-5 - 5.",
    "Windows\u00a0XP\u2009users\u3000only",
    "x",
    ". , .. ,, 3.,4 ,5. 6,",
    "Δεν βρέθηκε το αρχείο «λίστα» (σφάλμα 404).",
    "[a] {b} ~c~ `d` ^e^ |f| \\g\\ _h_ *i* +j+ =k= @l@",
]


def corrupted(draw, sentence):
    """The sentence with words dropped, swapped, repeated or cut, so that every count is exercised."""
    words = sentence.split(" ")
    for _ in range(draw.randrange(4)):
        at = draw.randrange(len(words))
        change = draw.randrange(4)
        if change == 0 and len(words) > 1:
            del words[at]
        elif change == 1:
            words.insert(at, words[draw.randrange(len(words))])
        elif change == 2:
            words[at] = words[at][: max(1, len(words[at]) - 2)]
        else:
            words[at], words[0] = words[0], words[at]
    return " ".join(words)


def case(name, hypotheses, references):
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    b, c = bleu.corpus_score(hypotheses, references), chrf.corpus_score(hypotheses, references)
    references = [[reference or "" for reference in one] for one in references]  # JSON's strings; None is missing
    return dict(name=name, hypotheses=hypotheses, references=references, bleu=b.score, matches=list(b.counts),
                totals=list(b.totals), lengths=[b.sys_len, b.ref_len], bleu_signature=str(bleu.get_signature()),
                chrf=c.score, chrf_signature=str(chrf.get_signature()))


draw = random.Random(7)
bad = [corrupted(draw, s) for s in SENTENCES]
other = [corrupted(draw, s) for s in SENTENCES]
short = [s.split(" ")[0] for s in SENTENCES]
longer = [s + " and some more words" for s in SENTENCES]
cases = [
    case("corrupted", bad, [SENTENCES]),
    case("two references", bad, [SENTENCES, other]),
    case("three references", short, [longer, SENTENCES, other]),
    case("references missing", bad, [[s if i % 3 else None for i, s in enumerate(SENTENCES)],
                                     [s if i % 3 != 1 else None for i, s in enumerate(other)]]),
    case("perfect", SENTENCES, [SENTENCES]),
    case("too short", short, [SENTENCES]),
    case("too long", longer, [SENTENCES]),
    case("some empty", ["" if i % 3 else s for i, s in enumerate(bad)], [SENTENCES]),
    case("all empty", ["", " "], [SENTENCES[:2]]),
    case("empty reference", ["word", SENTENCES[0]], [["", SENTENCES[0]]]),
    case("nothing in common", ["aaa bbb ccc ddd eee"] * 2, [["x y z", "u v w q"]]),
    case("no order above two", ["a b", "c d"], [["a b", "d c"]]),
    case("smoothed orders", ["a b x c d y e f"], [["a b c d e f g h i"]]),
]
cases += [case(f"sentence {i}", [h], [[r]]) for i, (h, r) in enumerate(zip(bad, SENTENCES))]
tokens = [dict(segment=s, tokens=sacrebleu.BLEU().tokenizer(s).split()) for s in SENTENCES]
text = json.dumps(dict(sacrebleu=sacrebleu.__version__, cases=cases, tokens=tokens), ensure_ascii=False, indent=1)
pathlib.Path(__file__).with_name("metrics.json").write_text(text + "\n")
