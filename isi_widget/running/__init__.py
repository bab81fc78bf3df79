"""Floor 0, long work: in a thread that can be given up (`attended`), in stages with progress (`stages`)."""
