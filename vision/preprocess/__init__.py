"""What happens to an image between decoding and the model: region of interest, alignment, tiles."""
