"""ACTalker Studio: a photo, speech and a driving clip become a talking video, each signal moving its own part of the face."""
