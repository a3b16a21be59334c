"""The two sides of anomalib_peer, each a program in an environment of its own."""
