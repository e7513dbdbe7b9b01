"""One folder per protocol; a protocol says what to look for and what it means, never what to do about it."""
