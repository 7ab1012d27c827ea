"""The decoder of the embedded tier: a photo is warped by facial coefficients, and mouth and eyes are painted in."""
