"""Words that everyone uses: ids, units, time spans, the error tree. Pure: no I/O, clock, event loop or logging."""
