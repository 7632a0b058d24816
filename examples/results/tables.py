"""Writes the tables of which docs/results.md tells into the working directory.

These are diabetes.csv, tumours.csv and census.csv.

Rows of census.csv are 30,000 of the test file of Census-Income (KDD), which is the one argument.
"""

import csv
import gzip
import random
import sys

from sklearn.datasets import load_breast_cancer, load_diabetes

from gatelab.tasks.census_income import CENSUS_COLUMNS

LEFT_OUT = ("instance_weight", "capital_gains", "weeks_worked", "income_over_50k")
ROWS = 30_000

load_diabetes(as_frame=True, scaled=False).frame.to_csv("diabetes.csv", index=False)
tumours = load_breast_cancer(as_frame=True)
frame = tumours.data.rename(columns=lambda name: name.replace(" ", "_"))
frame = frame[[name for name in frame if not name.endswith("_error")]]
frame["diagnosis"] = tumours.target_names[tumours.target]
frame.to_csv("tumours.csv", index=False)
if len(sys.argv) > 1:
    with gzip.open(sys.argv[1], "rt") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    random.Random(0).shuffle(rows)
    kept = [name for name in CENSUS_COLUMNS if name not in LEFT_OUT]
    with open("census.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*kept, "income", "weeks", "capital_gain"])
        for row in rows[:ROWS]:
            cells = dict(zip(CENSUS_COLUMNS, row, strict=True))
            gain = "yes" if float(cells["capital_gains"]) > 0 else "no"
            learnt = [cells["income_over_50k"].rstrip("."), cells["weeks_worked"], gain]
            table.writerow([*(cells[name] for name in kept), *learnt])
