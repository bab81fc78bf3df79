"""The inside of a language model: recording its attention."""
