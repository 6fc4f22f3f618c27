"""Handwritten digits: two candidates are trained side by side, and the better one becomes a version of a model.

A complete example of a pipeline. Copy it, or run it as it is:

    everline pipeline run digits.py --param C=0.5 --param trees=100
"""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from sklearn.datasets import load_digits

from everline import step

MODEL = "digits-classifier"
LABEL = "target"


@step
def load() -> Annotated[pd.DataFrame, "digits"]:
    """1 797 images of 8 x 8 pixels, a row each, from scikit-learn."""
    digits: pd.DataFrame = load_digits(as_frame=True).frame
    print(f"{len(digits)} images of {digits[LABEL].nunique()} digits")
    return digits
