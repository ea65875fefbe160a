"""Facts: what is true on a host now, asked in one round trip."""
