"""Floor 0: reading records back, field by field (`records`); writing a file whole or not (`writing`)."""
