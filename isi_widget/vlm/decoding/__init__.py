"""How answers are made from a prompt that was read once: steps, sampling, beams, enumeration, the cache."""
