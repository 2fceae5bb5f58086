"""Writes label_metrics.json: what scikit-learn and SciPy say of small sets of labels and numbers.

    python3 -m venv venv && venv/bin/pip install scikit-learn scipy
    venv/bin/python tests/data/label_metrics.py > tests/data/label_metrics.json
"""
import json
import random
import warnings

import scipy
import scipy.stats
import sklearn
from sklearn import metrics

warnings.simplefilter("ignore")  # of what is 0/0: it is 0 here


def labelled(name, right, given):
    values = {"accuracy": metrics.accuracy_score(right, given),
              "macro_f1": metrics.f1_score(right, given, average="macro",
                                           labels=sorted(set(right)), zero_division=0)}
    if set(right) | set(given) <= {"0", "1"}:
        values["f1"] = metrics.f1_score(right, given, pos_label="1", zero_division=0)
        values["matthews"] = metrics.matthews_corrcoef(right, given)
    return {"name": name, "references": right, "hypotheses": given, "values": values}


def numbers(name, right, given):
    values = {"pearson": scipy.stats.pearsonr(right, given).statistic,
              "spearman": scipy.stats.spearmanr(right, given).statistic}
    return {"name": name, "references": [str(x) for x in right],
            "hypotheses": [str(x) for x in given], "values": values}


random.seed(1)
draw = lambda labels, weights: random.choices(labels, weights, k=40)  # noqa: E731
cases = []
for share in (0.1, 0.5, 0.9):
    right = draw("01", (1 - share, share))
    given = [x if random.random() < 0.7 else random.choice("01") for x in right]
    cases.append(labelled(f"binary {share}", right, given))
cases.append(labelled("all one class given", draw("01", (1, 2)), ["1"] * 40))
cases.append(labelled("nothing found", draw("01", (1, 2)), ["0"] * 40))
cases.append(labelled("one class only", ["0"] * 5, ["0"] * 5))
classes = ["contradiction", "entailment", "neutral"]
cases.append(labelled("three classes", draw(classes, (5, 4, 1)), draw(classes, (5, 4, 1))))
cases.append(labelled("a class that is given only", draw(classes[:2], (1, 1)),
                      draw(classes, (1, 1, 1))))
right = [round(random.uniform(0, 5) * 5) / 5 for _ in range(40)]
cases.append(numbers("ties", right, [round(x + random.gauss(0, 1)) / 2 for x in right]))
cases.append(numbers("far from 0", right, [1e3 + x + random.gauss(0, 0.3) for x in right]))
cases.append(numbers("falling", right, [-x ** 3 for x in right]))
print(json.dumps({"scikit-learn": sklearn.__version__, "scipy": scipy.__version__,
                  "cases": cases}, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"'))
