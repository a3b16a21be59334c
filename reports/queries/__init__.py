"""What one may ask across the whole loop, one file a subject."""
