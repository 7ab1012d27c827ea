"""ACTalker Studio: a photo, a voice and a driving clip become a talking video, and each signal moves its own region."""
