"""Scores of finished videos, of this program or any other, and nothing under a name that it does not deserve.

`lips`, `following`, `control`, `patches` and `picture` hold the measures: functions of arrays whose docstrings give
formula, unit, range, a good value and what fools them. `paper`, `syncnet` and `identity` are for networks that the user
has. `watching` reads a video once, `scores` measures it against what there is, `evaluation` finds files and what
belongs to them, `tables` shows the result. `suite` renders the project's own list and holds it to what it reached.
"""
