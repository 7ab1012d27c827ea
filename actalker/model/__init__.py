"""Networks and the diffusion around them: tensors in, tensors out.

Letters: b clips, t frames, n tokens of a frame, l tokens of a sequence, d width, s state size, k coefficients,
c channels of a condition.
"""
