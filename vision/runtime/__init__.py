"""What runs a family's network: torch, and other runtimes that give the same answers faster."""
