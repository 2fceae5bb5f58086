"""What the reference libraries say of small corpora: sacreBLEU, rouge-score and NLTK.

Run: python3 tests/data/metrics.py                     writes metrics.json beside this file
     python3 tests/data/metrics.py OUT SEED [FILE...]  writes other cases; with files, their last column (tab-separated,
                                                       gzip or not) corrupted, at most 1,000 lines in one corpus
Needs sacrebleu 2, rouge-score 0.1.2, nltk, and for metrics.json Debian's wordnet-base; the versions are stored.
"""
import gzip
import io
import json
import pathlib
import random
import sys

import nltk
import sacrebleu
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.stem.porter import PorterStemmer
from nltk.translate import meteor_score as meteor
from rouge_score import rouge_scorer, tokenize

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
    "Δεν βρέθηκε το αρχείο «λίστα» (σφάλμα 404). ΟΔΥΣΣΕΥΣ Σ",
    "[a] {b} ~c~ `d` ^e^ |f| \\g\\ _h_ *i* +j+ =k= @l@",
    "Happily running children quickly realized the conditional rationalizations of geologists' generosity.",
    "The buyer purchased a large automobile, and the physician bought two cars while the women were dying.",
    "a quick the lazy dog over the fox jumps brown and İstanbul'da KELVIN \u212a",
]
WORDS = """caresses ponies ties dies caress cats feed agreed plastered bled motoring sing conflated troubled sized hopping
tanned falling hissing fizzed failing filing happy sky skies enjoy by say relational conditional rational valenci hesitanci
digitizer conformabli radicalli differentli vileli analogousli vietnamization predication operator feudalism decisiveness
hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti electrical hopeful
goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent
adoption homologou communism activate angulariti homologous effective bowdlerize probate rate cease controll roll dying
news innings proceed spied died flies fulli hopefulli geologi theologi logi eed ing ed ies 1990s x2ing mașini café yyy syzygy
generalli naturalli eying able oed owing""".split()


class Debian(WordNetCorpusReader):
    """wordnet-base's files, which lack two that NLTK opens and METEOR does not use."""

    def open(self, name):
        if name == "lexnames":
            return io.StringIO("".join(f"{i:02d}\tx\t1\n" for i in range(45)))
        return super().open(name)

    def map_wn(self, version="wordnet"):
        return None


class No:
    """WordNet without a word in it."""

    def synsets(self, word):
        return []


def corrupted(draw, sentence):
    """The sentence with words dropped, moved, repeated, cut or in capitals, so that every count is exercised."""
    words = sentence.split(" ")
    for _ in range(draw.randrange(5)):
        at = draw.randrange(len(words))
        change = draw.randrange(6)
        if change == 0 and len(words) > 1:
            del words[at]
        elif change == 1:
            words.insert(at, words[draw.randrange(len(words))])
        elif change == 2:
            words[at] = words[at][: max(1, len(words[at]) - 2)]
        elif change == 3:
            words[at] = words[at].upper()
        else:
            size = draw.randrange(1, 4)
            block = words[at:at + size]
            del words[at:at + size]
            to = draw.randrange(len(words) + 1)
            words[to:to] = block
    return " ".join(words)


def words(segment):
    return sacrebleu.BLEU().tokenizer(segment).split()


def meteor_by_word(references, hypothesis, wordnet):
    """NLTK's meteor_score, but that synonyms of words are matched, not of their stems."""

    def one(reference):
        h, r = meteor._generate_enums(hypothesis, reference)
        h_words, r_words = dict(h), dict(r)
        exact, h, r = meteor._match_enums(h, r)
        stems, h, r = meteor._enum_stem_match(h, r)
        h, r = [(i, h_words[i]) for i, _ in h], [(i, r_words[i]) for i, _ in r]
        synonyms, h, r = meteor._enum_wordnetsyn_match(h, r, wordnet=wordnet)
        matches = sorted(exact + stems + synonyms)
        if not matches:
            return 0
        precision, recall = len(matches) / len(h_words), len(matches) / len(r_words)
        f = 10 * precision * recall / (recall + 9 * precision)
        return f * (1 - 0.5 * (meteor._count_chunks(matches) / len(matches)) ** 3)

    return max(map(one, references))


def case(name, hypotheses, references, wordnet=None):
    libraries = dict(bleu=sacrebleu.BLEU(), bleu1=sacrebleu.BLEU(max_ngram_order=1),
                     bleu2=sacrebleu.BLEU(max_ngram_order=2), chrf=sacrebleu.CHRF(), ter=sacrebleu.TER())
    scores = {key: metric.corpus_score(hypotheses, references) for key, metric in libraries.items()}
    values = {key: score.score for key, score in scores.items()}
    pairs = [(h, [r for r in rs if r is not None]) for h, rs in zip(hypotheses, zip(*references))]
    references = [[r or "" for r in one] for one in references]  # JSON's strings: None, missing, is ""

    def mean(score):
        return 100 * sum(score(h, r) for h, r in pairs) / len(pairs)

    for key in "rouge1", "rouge2", "rougeL":
        rouge = rouge_scorer.RougeScorer([key], use_stemmer=True)
        values[key] = mean(lambda h, r: rouge.score_multi(r, h)[key].fmeasure)
    values["meteor"] = mean(lambda h, r: meteor.meteor_score([words(x) for x in r], words(h), wordnet=No()))
    if wordnet:
        values["meteor_wordnet"] = mean(lambda h, r: meteor_by_word([words(x) for x in r], words(h), wordnet))
    for n in 1, 2:
        ngrams = [gram for h in hypotheses for gram in zip(*(words(h)[k:] for k in range(n)))]
        values[f"distinct{n}"] = len(set(ngrams)) / max(1, len(ngrams))
    if 1 < len(hypotheses) < 100:
        sentence = sacrebleu.BLEU(effective_order=True)
        others = [hypotheses[:i] + hypotheses[i + 1:] for i in range(len(hypotheses))]
        values["self_bleu"] = sum(sentence.sentence_score(h, o).score for h, o in zip(hypotheses, others)) / len(others)
    b = scores["bleu"]
    return dict(name=name, hypotheses=hypotheses, references=references, matches=list(b.counts), totals=list(b.totals),
                lengths=[b.sys_len, b.ref_len], values=values,
                signatures={key: str(metric.get_signature()) for key, metric in libraries.items()})


def cases(draw, wordnet=None):
    bad = [corrupted(draw, s) for s in SENTENCES]
    other = [corrupted(draw, s) for s in SENTENCES]
    short = [s.split(" ")[0] for s in SENTENCES]
    longer = [s + " and some more words" for s in SENTENCES]
    yield case("corrupted", bad, [SENTENCES], wordnet)
    yield case("two references", bad, [SENTENCES, other], wordnet)
    yield case("three references", short, [longer, SENTENCES, other])
    yield case("references missing", bad, [[s if i % 3 else None for i, s in enumerate(SENTENCES)],
                                           [s if i % 3 != 1 else None for i, s in enumerate(other)]])
    yield case("too short", short, [SENTENCES])
    yield case("too long", longer, [SENTENCES])
    yield case("one corpus of long segments", [" ".join(bad)], [[" ".join(SENTENCES)]])
    yield case("some empty", ["" if i % 3 else s for i, s in enumerate(bad)], [SENTENCES])
    yield case("all empty", ["", " "], [SENTENCES[:2]])
    yield case("empty reference", ["word", SENTENCES[0]], [["", SENTENCES[0]]])
    yield case("both empty", [""], [[""]])
    yield case("nothing in common", ["aaa bbb ccc ddd eee"] * 2, [["x y z", "u v w q"]])
    yield case("no order above two", ["a b", "c d"], [["a b", "d c"]])
    yield case("smoothed orders", ["a b x c d y e f"], [["a b c d e f g h i"]])
    yield case("synonyms", ["The doctor bought many cars", "dogs barked happily"],
               [["The physician purchased many automobiles", "a hound barked gladly"]], wordnet)
    for i, (h, r) in enumerate(zip(bad, SENTENCES)):
        yield case(f"sentence {i}", [h], [[r]], wordnet)
    for i in range(12):  # few different words: many shifts, many ties
        h, r = (" ".join(draw.choices("abcdeA", k=draw.randrange(1, 16))) for _ in range(2))
        yield case(f"letters {i}", [h], [[r]])


def column(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\r\n").split("\t")[-1] for line in lines]


def main(out, seed=7, *files):
    draw = random.Random(int(seed))
    if files:
        references = [line for path in files for line in column(path)][:1000]
        found = [case("real", [corrupted(draw, r) for r in references], [references])]
        stored = dict(cases=found)
    elif out == "metrics.json":
        nltk.data.path.append("/usr/share/wordnet")
        found = list(cases(draw, Debian("/usr/share/wordnet", None)))
        stored = dict(sacrebleu=sacrebleu.__version__, nltk=nltk.__version__, rouge_score="0.1.2", cases=found,
                      tokens=[dict(segment=s, tokens=words(s)) for s in SENTENCES],
                      rouge_tokens=[tokenize.tokenize(s, PorterStemmer()) for s in SENTENCES],
                      stems={word: PorterStemmer().stem(word) for word in WORDS},
                      lower={s: s.lower() for s in SENTENCES + ["ΑΣ. ΣΑ ΑΣ'Α ΑΣ' Σ", "ǅ ẞ Ⅷ Ⓐ 𐐀 Ა Ꭰ"]})
        out = pathlib.Path(__file__).with_name(out)
    else:
        stored = dict(cases=list(cases(draw)))
    text = json.dumps(stored, ensure_ascii=False).replace('{"name"', '\n{"name"').replace('"tokens": [{', '\n"tokens": [{')
    pathlib.Path(out).write_text(text + "\n", encoding="utf-8")


main(*(sys.argv[1:] or ["metrics.json"]))
