"""Making the weights: synthetic speech with known mouths, procedural drivers, the training data and the loop.

`voices` speaks a text and says when each phone sounds; `visemes` turns the phones into mouth motion; `augment` makes
the sound hard; `corpus` stores the result. `gestures` invents the rest of the face, and drivers to copy. `scorecard`
measures the outcome: `alignment` and `talking` read recordings of people, `predictors` speak, `scoring` compares.
"""
