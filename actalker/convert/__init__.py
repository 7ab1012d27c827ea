"""Released files of ACTalker, Stable Video Diffusion and Whisper -> this program's own, once and strictly."""
