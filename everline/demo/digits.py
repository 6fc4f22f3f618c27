"""Handwritten digits: two candidates are trained side by side, and the better one becomes a version of a model.

A complete example of a pipeline. Copy it, or run it as it is:

    everline pipeline run digits.py --param C=0.01 --param trees=60
"""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from everline import log_metadata, pipeline, register_model_version, step

MODEL = "digits-classifier"
LABEL = "target"


@step
def load() -> Annotated[pd.DataFrame, "digits"]:
    """1 797 images of 8 x 8 pixels, a row each."""
    digits: pd.DataFrame = load_digits(as_frame=True).frame
    print(f"{len(digits)} images of {digits[LABEL].nunique()} digits")
    return digits


@step
def split(
    digits: pd.DataFrame, test_size: float
) -> tuple[Annotated[pd.DataFrame, "train"], Annotated[pd.DataFrame, "test"]]:
    """Keeps some images back, the same share of each digit."""
    train, test = train_test_split(digits, test_size=test_size, random_state=0, stratify=digits[LABEL])
    print(f"{len(train)} to learn from, {len(test)} to test with")
    return train, test


@step
def train_linear(train: pd.DataFrame, C: float) -> Annotated[LogisticRegression, "linear"]:  # noqa: N803  sklearn's name
    """A candidate: logistic regression."""
    return LogisticRegression(C=C, max_iter=2_000).fit(*features_and_labels(train))


@step
def train_forest(train: pd.DataFrame, trees: int, depth: int) -> Annotated[RandomForestClassifier, "forest"]:
    """The other candidate: a random forest."""
    forest = RandomForestClassifier(trees, max_depth=depth, random_state=0)
    return forest.fit(*features_and_labels(train))


@step
def evaluate(
    linear: LogisticRegression, forest: RandomForestClassifier, test: pd.DataFrame
) -> tuple[Annotated[ClassifierMixin, "champion"], Annotated[dict[str, float], "report"]]:
    """Measures both on the images that neither has seen, and picks the better one."""
    candidates: dict[str, ClassifierMixin] = {"linear": linear, "forest": forest}
    report = {name: float(candidate.score(*features_and_labels(test))) for name, candidate in candidates.items()}
    best = max(report, key=lambda name: report[name])
    log_metadata(
        {"accuracy": report[best], "winner": best, **{f"accuracy_{name}": value for name, value in report.items()}}
    )
    print(f"{best} wins: {report}")
    return candidates[best], report


@step
def register(champion: ClassifierMixin, report: dict[str, float]) -> None:
    """The winner becomes the next version of the model, with the value that it is and the run that made it."""
    register_model_version(MODEL, {"classifier": champion}, metadata={"accuracy": max(report.values())})


@pipeline
def digits(C: float = 0.01, trees: int = 60, depth: int = 12, test_size: float = 0.3) -> None:  # noqa: N803  see above
    """Steps that do not wait for each other run at the same time: here, the two candidates."""
    train, test = split(load(), test_size=test_size)
    champion, report = evaluate(train_linear(train, C=C), train_forest(train, trees=trees, depth=depth), test)
    register(champion, report)


def features_and_labels(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[int]]:
    """The pixels, and which digit they show."""
    return images.drop(columns=LABEL), images[LABEL]


if __name__ == "__main__":
    run = digits(C=0.05)
    print(run.status, run.steps["evaluate"].output("report").load())
